/** Paths of any bytes as strings, and which of them a sandbox can safely hold. */

import { isUtf8 } from 'node:buffer';

const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 4000;

/** Bytes of a path as a string; each byte that is no UTF-8 becomes a lone surrogate U+DC80…U+DCFF. */
export function decodePath(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const length = [1, 2, 3, 4].find((n) => isUtf8(bytes.subarray(at, at + n)));
    if (length === undefined) {
      text += String.fromCharCode(0xdc00 + (bytes[at] ?? 0));
      at += 1;
    } else {
      text += bytes.toString('utf8', at, at + length);
      at += length;
    }
  }
  return text;
}

/** The bytes that `decodePath` was given. */
export function encodePath(path: string): Buffer {
  if (!/\p{Cs}/u.test(path)) return Buffer.from(path, 'utf8');
  return Buffer.concat(
    Array.from(path, (character) => {
      const code = character.codePointAt(0) ?? 0;
      return code >= 0xdc80 && code <= 0xdcff ? Buffer.of(code - 0xdc00) : Buffer.from(character);
    }),
  );
}

/** Can be shown in a prompt, a log line and a title: no control characters, all of it text. */
export function isPrintablePath(path: string): boolean {
  return !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(path);
}

/** Why a path would leave its folder or reach into git's own, or undefined when it does not. */
export function pathDanger(path: string): string | undefined {
  if (path.includes('\0')) return 'has a NUL in it';
  for (const name of path.split('/')) {
    if (name === '') return 'has an empty part';
    if (name === '.' || name === '..') return `has the part \`${name}\``;
    if (name.toLowerCase() === '.git') return "reaches into git's own folder";
  }
  return undefined;
}

/** Why no file system takes a path, or undefined when one does. */
export function pathExcess(bytes: Buffer): string | undefined {
  if (bytes.length > MAX_PATH_BYTES) return `its path has more than ${MAX_PATH_BYTES} bytes`;
  let nameStart = 0;
  for (let at = 0; at <= bytes.length; at++) {
    if (at < bytes.length && bytes[at] !== 0x2f) continue;
    if (at - nameStart > MAX_NAME_BYTES)
      return `a name in it has more than ${MAX_NAME_BYTES} bytes`;
    nameStart = at + 1;
  }
  return undefined;
}
