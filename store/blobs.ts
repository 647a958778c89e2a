/** Immutable content under `blobs/`, by its SHA-256. */

import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, open, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { canonicalJson } from '../domain/ids.ts';
import type { Ref } from '../domain/sample.ts';
import { type Blobs, StoreCorrupt } from '../domain/store.ts';
import { attempt, makeFolder, syncFolder, writeOnce } from './files.ts';

const compress = promisify(gzip);
const decompress = promisify(gunzip);

/** Hex SHA-256 of a text (UTF-8) or bytes. */
export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

export function createBlobs(folder: string): Blobs {
  const pathOf = (ref: Ref) => {
    const hex = /^sha256:([0-9a-f]{64})$/.exec(ref)?.[1];
    if (hex === undefined) throw new StoreCorrupt(`not a reference: ${JSON.stringify(ref)}`);
    return join(folder, hex.slice(0, 2), hex);
  };
  const isThere = (path: string) =>
    stat(path).then(
      () => true,
      () => false,
    );

  async function put(bytes: Uint8Array): Promise<Ref> {
    const ref: Ref = `sha256:${sha256(bytes)}`;
    const path = pathOf(ref);
    if (!(await isThere(path))) await writeOnce(path, bytes);
    return ref;
  }

  async function get(ref: Ref): Promise<Uint8Array> {
    const path = pathOf(ref);
    const bytes = await attempt(path, () =>
      readFile(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') throw new StoreCorrupt(`${path}: this content is missing`);
        throw error;
      }),
    );
    if (`sha256:${sha256(bytes)}` !== ref) {
      throw new StoreCorrupt(`${path}: the content does not have the hash of its name`);
    }
    return bytes;
  }

  return {
    put,
    get,

    async putJson(value) {
      return put(await compress(canonicalJson(value)));
    },

    async getJson<T>(ref: Ref) {
      return JSON.parse((await decompress(await get(ref))).toString()) as T;
    },

    async putStream(stream) {
      return attempt(folder, async () => {
        await makeFolder(folder);
        const temporary = join(folder, `.tmp-${randomUUID()}`);
        const hash = createHash('sha256');
        try {
          const file = await open(temporary, 'wx', 0o600);
          try {
            for await (const chunk of stream) {
              hash.update(chunk);
              await file.writeFile(chunk);
            }
            await file.sync();
          } finally {
            await file.close();
          }
          const ref: Ref = `sha256:${hash.digest('hex')}`;
          const path = pathOf(ref);
          await makeFolder(dirname(path));
          await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
            if (error.code !== 'EEXIST') throw error;
          });
          await syncFolder(dirname(path));
          return ref;
        } finally {
          await rm(temporary, { force: true });
        }
      });
    },

    stream: async (ref) => createReadStream(pathOf(ref)),
    has: (ref) => isThere(pathOf(ref)),
  };
}
