/** Bytes of a source file as text, in whatever encoding they are. */

import { isUtf8 } from 'node:buffer';
import type { Language } from './languages.ts';

/**
 * Text of a source: UTF-8 without its byte order mark, or what Python's coding line declares (PEP 263), or else
 * Windows-1252, in which every byte is a character. Undefined for what is no text in any of them.
 */
export function decodeSource(bytes: Buffer, { name }: Language): string | undefined {
  if (bytes.includes(0)) return undefined; // UTF-16 of ASCII is valid UTF-8, too
  if (isUtf8(bytes) || bytes.subarray(0, 3).equals(BYTE_ORDER_MARK)) return UTF8.decode(bytes);
  const declared = name === 'python' ? CODING_LINE.exec(bytes.toString('latin1', 0, 1000)) : null;
  return decoderOf(declared?.[1] ?? '').decode(bytes);
}

// --- internal ---

const UTF8 = new TextDecoder();
const BYTE_ORDER_MARK = Buffer.of(0xef, 0xbb, 0xbf);
/** In the first or second line; only comments or nothing before it. */
const CODING_LINE = /^(?:[ \t\f]*(?:#.*)?\r?\n)?[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)/;

function decoderOf(label: string) {
  try {
    return new TextDecoder(label);
  } catch {
    return new TextDecoder('windows-1252');
  }
}
