/**
 * A store in a bucket. Objects can't grow, so logs grow on this host's disk, where they survive the death of their writer, and are
 * copied up after some lines or some time, and whenever their writer asks for it.
 */

import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StoreCorrupt } from '../domain/store.ts';
import type { Bucket } from './bucket.ts';
import { readFromIfThere, readIfThere, removeTree, TEMPORARY, writeAll } from './files.ts';
import { type CopyLimits, createSpool } from './spool.ts';
import type { Storage } from './storage.ts';
import { sweepTemporaries } from './sweep.ts';

/** `folder` is this host's own, for this store: what is in it is part of the store until it is copied. */
export function createBucketStorage(bucket: Bucket, folder: string, limits: CopyLimits): Storage {
  const spool = createSpool(folder, (path, content) => bucket.put(path, content), limits);
  const placeOf = (path: string) => `${bucket.location}/${path}`;
  return {
    location: bucket.location,
    placeOf,
    writeOnce: (path, content) => bucket.putOnce(path, content),
    replace: (path, content) => bucket.put(path, content),

    async writeHashed(stream, pathOf) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const temporary = join(folder, `${TEMPORARY}${randomUUID()}`);
      try {
        const hash = await writeAll(temporary, stream);
        const path = pathOf(hash);
        if ((await bucket.ageMs(path)) === undefined) await bucket.putFile(path, temporary);
        return hash;
      } finally {
        await rm(temporary, { force: true });
      }
    },

    // What this host has of a log is never less than its copy.
    read: async (path) => (await readIfThere(spool.placeOf(path))) ?? bucket.get(path),
    readFrom: async (path, offset, maxBytes) =>
      (await readFromIfThere(spool.placeOf(path), offset, maxBytes)) ??
      (await bucket.get(path, offset, maxBytes)) ??
      Buffer.alloc(0),
    async stream(path) {
      const stream = await bucket.stream(path);
      if (stream === undefined) throw new StoreCorrupt(`${placeOf(path)}: this content is missing`);
      return stream;
    },
    has: async (path) => (await bucket.ageMs(path)) !== undefined,
    async list(path) {
      const names = [...(await bucket.list(path)), ...(await spool.list(path))];
      return [...new Set(names)].sort();
    },

    async remove(path) {
      await bucket.remove(path);
      await rm(spool.placeOf(path), { force: true });
    },
    async removeTree(path) {
      await bucket.removeTree(path);
      await removeTree(spool.placeOf(path));
    },

    touch: (path) => bucket.put(path, ''),
    ageMs: (path) => bucket.ageMs(path),

    log: (path) => spool.log(path),
    lines: (path) => spool.lines(path),
    share: (path) => spool.share(path),
    async tidy() {
      await spool.tidy(async (path) => (await bucket.ageMs(path)) !== undefined);
      await sweepTemporaries(folder);
    },
    close: () => spool.close(),
  };
}
