/** Archives of files that are made here, for an engine that takes files only so. */

import { Readable } from 'node:stream';

import tar, { type Header } from 'tar-stream';

/** A file of an archive: with a `linkname`, a symbolic link. */
export type ArchiveFile = Pick<Header, 'name'> & Partial<Header> & { content?: string | Buffer };

/** A tar of these files, in their order; the same files give the same bytes only with an `mtime`. */
export function toArchive(files: Iterable<ArchiveFile>): Readable {
  const pack = tar.pack();
  for (const { content = '', ...header } of files) {
    if (header.linkname !== undefined) pack.entry({ ...header, type: 'symlink' });
    else pack.entry(header, content);
  }
  pack.finalize();
  return Readable.from(pack);
}
