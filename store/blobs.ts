/** Immutable content under `blobs/`, by its SHA-256. */

import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { canonicalJson } from '../domain/ids.ts';
import type { Ref } from '../domain/sample.ts';
import { type Blobs, StoreCorrupt } from '../domain/store.ts';
import type { Storage } from './storage.ts';

const compress = promisify(gzip);
const decompress = promisify(gunzip);

/** Hex SHA-256 of a text (UTF-8) or bytes. */
export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

export function createBlobs(storage: Storage): Blobs {
  async function put(bytes: Uint8Array): Promise<Ref> {
    const hash = sha256(bytes);
    const path = pathOf(hash);
    if (!(await storage.has(path))) await storage.writeOnce(path, bytes);
    return `sha256:${hash}`;
  }

  async function get(ref: Ref): Promise<Uint8Array> {
    const path = pathOf(hashOf(ref));
    const bytes = await storage.read(path);
    if (bytes === undefined) {
      throw new StoreCorrupt(`${storage.placeOf(path)}: this content is missing`);
    }
    if (`sha256:${sha256(bytes)}` !== ref) {
      throw new StoreCorrupt(
        `${storage.placeOf(path)}: the content does not have the hash of its name`,
      );
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
      return `sha256:${await storage.writeHashed(stream, pathOf)}`;
    },

    stream: async (ref) => storage.stream(pathOf(hashOf(ref))),
    has: async (ref) => storage.has(pathOf(hashOf(ref))),
  };
}

// --- internal ---

function pathOf(hash: string): string {
  return `blobs/${hash.slice(0, 2)}/${hash}`;
}

function hashOf(ref: Ref): string {
  const hash = /^sha256:([0-9a-f]{64})$/.exec(ref)?.[1];
  if (hash === undefined) throw new StoreCorrupt(`not a reference: ${JSON.stringify(ref)}`);
  return hash;
}
