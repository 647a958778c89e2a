/** Prepared images for other hosts: `images/<key>.json` names the image of a key, and the archive that holds it. */

import { pipeline } from 'node:stream/promises';
import { PassThrough } from 'node:stream';
import { createGunzip, createGzip } from 'node:zlib';
import type { SharedImage, SharedImages } from '../domain/ports.ts';
import type { Ref } from '../domain/sample.ts';
import type { Blobs } from '../domain/store.ts';
import type { Storage } from './storage.ts';

/** Layers are large and compress well at once. */
const FASTEST = 1;

interface ImageRecord {
  imageId: string;
  archive: Ref;
}

export function createSharedImages(storage: Storage, blobs: Blobs): SharedImages {
  const toImage = ({ imageId, archive }: ImageRecord): SharedImage => ({
    imageId,
    async archive() {
      const unpacked = new PassThrough();
      const packed = await blobs.stream(archive);
      // What breaks it off is thrown by whoever reads it.
      pipeline(packed, createGunzip(), unpacked).catch((error: Error) => unpacked.destroy(error));
      return unpacked;
    },
  });

  async function find(key: string): Promise<SharedImage | undefined> {
    const bytes = await storage.read(pathOf(key));
    return bytes && toImage(JSON.parse(bytes.toString()) as ImageRecord);
  }

  return {
    find,
    async put(key, imageId, archive) {
      const packed = createGzip({ level: FASTEST });
      const [ref] = await Promise.all([blobs.putStream(packed), pipeline(archive, packed)]);
      const record: ImageRecord = { imageId, archive: ref };
      const isFirst = await storage.writeOnce(pathOf(key), `${JSON.stringify(record)}\n`);
      return isFirst ? toImage(record) : ((await find(key)) ?? toImage(record));
    },
  };
}

// --- internal ---

function pathOf(key: string): string {
  return `images/${key}.json`;
}
