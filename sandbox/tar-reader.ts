/** Entries of a tar stream with names as the bytes they are: the usual readers decode them, and lose what is not UTF-8. */

const BLOCK = 512;
/** Long names and extended headers are read whole; no path is longer than this. */
const MAX_HEADER_BYTES = 64 * 1024;

export interface TarEntry {
  /** Bytes as latin1, without a trailing slash. */
  name: string;
  type: 'file' | 'directory' | 'symlink' | 'hardlink' | 'other';
  mode: number;
  size: number;
  /** Bytes as latin1. */
  linkName: string;
}

/** The stream is no tar that a sandbox's engine makes, or names something outside the folder. */
export class TarRefused extends Error {
  override readonly name = 'TarRefused';
}

/**
 * Reads a tar. For each entry `want` says whether its content is kept; it may throw to give up before the content is read. Names that are absolute, hold `..` or come twice throw TarRefused.
 */
export async function* readTar(
  stream: AsyncIterable<Buffer>,
  want: (entry: TarEntry) => boolean,
): AsyncGenerator<{ entry: TarEntry; content: Buffer | undefined }> {
  const reader = createReader(stream);
  const seen = new Set<string>();
  let extended = new Map<string, string>();
  for (;;) {
    const header = await reader.take(BLOCK);
    if (header.every((byte) => byte === 0)) break; // the end mark, or the end
    if (header.length < BLOCK || !checksumHolds(header)) throw new TarRefused('a broken header');
    const size = numberAt(header, 124, 12);
    const type = String.fromCharCode(header[156] ?? 0);
    if (type === 'x' || type === 'L' || type === 'K') {
      if (size > MAX_HEADER_BYTES) throw new TarRefused('a header of more than 64 KiB');
      const body = await reader.take(size);
      await reader.skip(padding(size));
      if (type === 'x') for (const [key, value] of extendedFields(body)) extended.set(key, value);
      else
        extended.set(
          type === 'L' ? 'path' : 'linkpath',
          body.toString('latin1').replace(/\0.*$/s, ''),
        );
      continue;
    }
    const entry = toEntry(header, type, size, extended);
    extended = new Map();
    if (entry.name.startsWith('/') || entry.name.split('/').includes('..'))
      throw new TarRefused('a name outside the folder');
    if (seen.has(entry.name)) throw new TarRefused('the same name twice');
    seen.add(entry.name);
    if (want(entry) && entry.type === 'file') {
      yield { entry, content: await reader.take(entry.size) };
    } else {
      await reader.skip(entry.size);
      yield { entry, content: undefined };
    }
    await reader.skip(padding(entry.size));
  }
}

// --- internal ---

function createReader(stream: AsyncIterable<Buffer>) {
  const chunks = stream[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  const next = async (): Promise<boolean> => {
    const { value, done } = await chunks.next();
    if (done) return false;
    rest = value;
    return true;
  };
  return {
    /** `size` bytes; none at the very end of the stream. Throws when it ends in the middle. */
    async take(size: number): Promise<Buffer> {
      const pieces: Buffer[] = [];
      let missing = size;
      while (missing > 0) {
        if (rest.length === 0 && !(await next())) {
          if (missing === size) return Buffer.alloc(0);
          throw new TarRefused('an end in the middle');
        }
        const piece = rest.subarray(0, missing);
        rest = rest.subarray(piece.length);
        missing -= piece.length;
        pieces.push(piece);
      }
      return Buffer.concat(pieces);
    },
    async skip(size: number): Promise<void> {
      let missing = size;
      while (missing > 0) {
        if (rest.length === 0 && !(await next())) throw new TarRefused('an end in the middle');
        const skipped = Math.min(missing, rest.length);
        rest = rest.subarray(skipped);
        missing -= skipped;
      }
    },
  };
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

function textAt(header: Buffer, at: number, length: number): string {
  const end = header.indexOf(0, at);
  return header.toString('latin1', at, end === -1 || end > at + length ? at + length : end);
}

function numberAt(header: Buffer, at: number, length: number): number {
  if ((header[at] ?? 0) & 0x80) {
    let value = (header[at] ?? 0) & 0x7f;
    for (let index = at + 1; index < at + length; index++)
      value = value * 256 + (header[index] ?? 0);
    return value;
  }
  return Number.parseInt(textAt(header, at, length).trim() || '0', 8);
}

function checksumHolds(header: Buffer): boolean {
  let sum = 0;
  for (let index = 0; index < BLOCK; index++)
    sum += index >= 148 && index < 156 ? 32 : (header[index] ?? 0);
  return sum === numberAt(header, 148, 8);
}

/** `LENGTH KEY=VALUE\n`, the length counting itself. */
function* extendedFields(body: Buffer): Generator<[string, string]> {
  let at = 0;
  while (at < body.length) {
    const space = body.indexOf(32, at);
    const length = Number(body.toString('latin1', at, space));
    if (space === -1 || !Number.isInteger(length) || length <= space - at)
      throw new TarRefused('a broken extended header');
    const field = body.toString('latin1', space + 1, at + length - 1);
    const equals = field.indexOf('=');
    yield [field.slice(0, equals), field.slice(equals + 1)];
    at += length;
  }
}

function toEntry(
  header: Buffer,
  type: string,
  headerSize: number,
  extended: Map<string, string>,
): TarEntry {
  const prefix =
    header.toString('latin1', 257, 262) === 'ustar' && header[263] === 48
      ? textAt(header, 345, 155)
      : '';
  const short = textAt(header, 0, 100);
  const name = extended.get('path') ?? (prefix === '' ? short : `${prefix}/${short}`);
  const size = extended.has('size') ? Number(extended.get('size')) : headerSize;
  if (!Number.isSafeInteger(size) || size < 0) throw new TarRefused('a size that is no number');
  const types: Record<string, TarEntry['type']> = {
    '0': 'file',
    '\0': 'file',
    '5': 'directory',
    '2': 'symlink',
    '1': 'hardlink',
  };
  return {
    name: name.replace(/\/+$/, ''),
    type: types[type] ?? 'other',
    mode: numberAt(header, 100, 8),
    size: type === '0' || type === '\0' ? size : 0,
    linkName: extended.get('linkpath') ?? textAt(header, 157, 100),
  };
}
