/** One result file per stage in the sample's folder, and the claims on target patches. */

import { join } from 'node:path';
import { canonicalJson } from '../domain/ids.ts';
import { type StageLedger, StoreCorrupt } from '../domain/store.ts';
import { listFolder, readIfThere, writeOnce } from './files.ts';

/** Folder of one sample; the last two characters of the key spread samples over 256 folders. */
export function sampleFolder(batches: string, batchId: string, sampleKey: string): string {
  return join(batches, batchId, 'samples', sampleKey.slice(-2), sampleKey);
}

export function createLedger(batches: string): StageLedger {
  return {
    async get<T>(key: { batchId: string; sampleKey: string; name: string }) {
      return readResult<T>(resultPath(key));
    },

    async put<T>(key: { batchId: string; sampleKey: string; name: string }, value: T) {
      const path = resultPath(key);
      if (await writeOnce(path, `${canonicalJson(value)}\n`)) return value;
      return (await readResult<T>(path)) ?? value;
    },

    async names(batchId, sampleKey) {
      const files = await listFolder(sampleFolder(batches, batchId, sampleKey));
      return files.flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -5)] : []));
    },

    async claim(batchId, patchHash, sampleKey) {
      const path = join(batches, batchId, 'claims', patchHash.slice(0, 2), patchHash);
      if (await writeOnce(path, sampleKey)) return sampleKey;
      return (await readIfThere(path))?.toString() ?? sampleKey;
    },
  };

  function resultPath(key: { batchId: string; sampleKey: string; name: string }): string {
    return join(sampleFolder(batches, key.batchId, key.sampleKey), `${key.name}.json`);
  }
}

async function readResult<T>(path: string): Promise<T | undefined> {
  const bytes = await readIfThere(path);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(bytes.toString()) as T;
  } catch (error) {
    throw new StoreCorrupt(`${path}: not JSON; remove it and resume, the stage runs again`, {
      cause: error,
    });
  }
}
