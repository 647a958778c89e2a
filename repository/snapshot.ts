/**
 * A repository's tree as a tar archive: the same tree gives the same bytes, for ever. Written here and
 * not by a library, because these bytes name the snapshot and names may be no UTF-8.
 */

import { Readable } from 'node:stream';
import { AGENT_UID } from '../domain/ids.ts';
import { encodePath } from './paths.ts';
import type { SourceFile } from './source-file.ts';

/**
 * An uncompressed POSIX tar of files that come sorted: folders before what is in them, everything
 * owned by the agent, no times. Names of any bytes and length are kept. Errors of the files reach the
 * stream.
 */
export function writeSnapshot(files: AsyncIterable<SourceFile>): Readable {
  return Readable.from(toArchive(files), { objectMode: false });
}

// --- internal ---

const BLOCK_BYTES = 512;
const NAME_BYTES = 100;

/** Type flags of an entry. */
const FILE = '0';
const LINK = '2';
const FOLDER = '5';
const EXTENDED = 'x';

async function* toArchive(files: AsyncIterable<SourceFile>): AsyncGenerator<Buffer> {
  const folders = new Set<string>();
  for await (const { path, mode, bytes } of files) {
    for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) {
      const folder = path.slice(0, at + 1);
      if (folders.has(folder)) continue;
      folders.add(folder);
      yield toHeader(FOLDER, encodePath(folder), 0o755, 0);
    }
    const name = encodePath(path);
    if (mode === '120000') {
      yield toHeader(LINK, name, 0o777, 0, bytes);
    } else {
      yield toHeader(FILE, name, mode === '100755' ? 0o755 : 0o644, bytes.length);
      if (bytes.length > 0) yield bytes;
      yield padding(bytes.length);
    }
  }
  yield Buffer.alloc(2 * BLOCK_BYTES);
}

/** The header of an entry, after an extended one where its name or target does not fit. */
function toHeader(
  type: string,
  name: Buffer,
  mode: number,
  size: number,
  target: Buffer = Buffer.alloc(0),
): Buffer {
  const records = Buffer.concat([
    fits(name) ? Buffer.alloc(0) : toRecord('path', name),
    fits(target) ? Buffer.alloc(0) : toRecord('linkpath', target),
  ]);
  const own = toBlock(type, cut(name), mode, size, cut(target));
  if (records.length === 0) return own;
  const extended = toBlock(EXTENDED, Buffer.from('PaxHeader'), 0o644, records.length);
  return Buffer.concat([extended, records, padding(records.length), own]);
}

/** One header block; `name` and `target` fit their fields. */
function toBlock(
  type: string,
  name: Buffer,
  mode: number,
  size: number,
  target: Buffer = Buffer.alloc(0),
): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, at: number, digits: number) =>
    block.write(`${value.toString(8).padStart(digits, '0')}\0`, at, 'latin1');
  name.copy(block, 0);
  octal(mode, 100, 7);
  octal(AGENT_UID, 108, 7);
  octal(AGENT_UID, 116, 7);
  octal(size, 124, 11);
  octal(0, 136, 11);
  block.write(`        ${type}`, 148, 'latin1');
  target.copy(block, 157);
  block.write('ustar\x0000', 257, 'latin1');
  // The sum counts its own field as spaces.
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** Plain ASCII that leaves room for the closing NUL; everything else is in an extended header. */
function fits(text: Buffer): boolean {
  return text.length < NAME_BYTES && text.every((byte) => byte >= 0x20 && byte < 0x7f);
}

/** What stands in the short field for readers without extended headers. */
function cut(text: Buffer): Buffer {
  return fits(text) ? text : text.subarray(0, NAME_BYTES - 1);
}

/** `<length of the whole record> key=value\n`. */
function toRecord(key: string, value: Buffer): Buffer {
  const rest = ` ${key}=`.length + value.length + 1;
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from('\n')]);
}

function padding(size: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES);
}
