/** A repository's tree as a tar archive: the same tree gives the same bytes. */

import { Readable } from 'node:stream';
import { pack, type Header, type Pack } from 'tar-stream';
import { AGENT_UID } from '../domain/ids.ts';
import { encodePath } from './paths.ts';
import type { SourceFile } from './source-file.ts';

/**
 * An uncompressed tar of files that come sorted: folders before what is in them, everything owned by
 * the agent, no times. Names of any bytes and length keep them. Errors of the files reach the stream.
 */
export function writeSnapshot(files: AsyncIterable<SourceFile>): NodeJS.ReadableStream {
  const archive = pack();
  void fill(archive, files).then(
    () => archive.finalize(),
    (error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return Readable.from(archive, { objectMode: false });
}

// --- internal ---

type EntryHeader = Partial<Header> & Pick<Header, 'name'>;

async function fill(archive: Pack, files: AsyncIterable<SourceFile>): Promise<void> {
  const folders = new Set<string>();
  for await (const { path, mode, bytes } of files) {
    for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) {
      const folder = path.slice(0, at);
      if (folders.has(folder)) continue;
      folders.add(folder);
      await add(archive, encodePath(`${folder}/`), { type: 'directory', mode: 0o755 });
    }
    const name = encodePath(path);
    if (mode === '120000') await add(archive, name, { type: 'symlink', mode: 0o777 }, bytes);
    else await add(archive, name, { type: 'file', mode: mode === '100755' ? 0o755 : 0o644 }, bytes);
  }
}

/** Adds one entry; `content` of a symbolic link is its target. */
async function add(
  archive: Pack,
  name: Buffer,
  kind: Pick<Header, 'type' | 'mode'>,
  content: Buffer = Buffer.alloc(0),
): Promise<void> {
  const isLink = kind.type === 'symlink';
  const owner = { uid: AGENT_UID, gid: AGENT_UID, mtime: new Date(0) };
  const records = [
    ...(isPlain(name) ? [] : [paxRecord('path', name)]),
    ...(isLink && !isPlain(content) ? [paxRecord('linkpath', content)] : []),
  ];
  if (records.length > 0) {
    const header = { name: 'PaxHeader', type: 'pax-header', mode: 0o644, ...owner } as const;
    await write(archive, header as unknown as EntryHeader, Buffer.concat(records));
  }
  const header: EntryHeader = {
    ...kind,
    ...owner,
    name: isPlain(name) ? name.toString('latin1') : 'entry',
    ...(isLink && { linkname: isPlain(content) ? content.toString('latin1') : 'target' }),
  };
  await write(archive, header, isLink ? Buffer.alloc(0) : content);
}

/** Fits the fixed fields of a header as it is. */
function isPlain(text: Buffer): boolean {
  return text.length <= 99 && text.every((byte) => byte >= 0x20 && byte < 0x7f);
}

/** `<length of the whole record> key=value\n`, written here because the value may be no UTF-8. */
function paxRecord(key: string, value: Buffer): Buffer {
  const rest = 1 + key.length + 1 + value.length + 1;
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from('\n')]);
}

function write(archive: Pack, header: EntryHeader, content: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry(header, content, (error) => (error ? reject(error) : resolve()));
  });
}
