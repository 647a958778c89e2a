/** One result file per stage in the sample's folder, and the claims on target patches. */

import { canonicalJson } from '../domain/ids.ts';
import { type StageKey, type StageLedger, StoreCorrupt } from '../domain/store.ts';
import { batchFolder } from './batches.ts';
import type { Storage } from './storage.ts';

/** Folder of one sample; the last two characters of the key spread samples over 256 folders. */
export function sampleFolder(batchId: string, sampleKey: string): string {
  return `${batchFolder(batchId)}/samples/${sampleKey.slice(-2)}/${sampleKey}`;
}

export function createLedger(storage: Storage): StageLedger {
  async function readResult<T>(path: string): Promise<T | undefined> {
    const bytes = await storage.read(path);
    if (bytes === undefined) return undefined;
    try {
      return JSON.parse(bytes.toString()) as T;
    } catch (error) {
      throw new StoreCorrupt(
        `${storage.placeOf(path)}: not JSON; remove it and resume, the stage runs again`,
        { cause: error },
      );
    }
  }

  return {
    async get<T>(key: StageKey) {
      return readResult<T>(resultPath(key));
    },

    async put<T>(key: StageKey, value: T) {
      const path = resultPath(key);
      if (await storage.writeOnce(path, `${canonicalJson(value)}\n`)) return value;
      return (await readResult<T>(path)) ?? value;
    },

    async names(batchId, sampleKey) {
      const files = await storage.list(sampleFolder(batchId, sampleKey));
      return files.flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -5)] : []));
    },

    async claim(batchId, patchHash, sampleKey) {
      const path = `${batchFolder(batchId)}/claims/${patchHash.slice(0, 2)}/${patchHash}`;
      if (await storage.writeOnce(path, sampleKey)) return sampleKey;
      return (await storage.read(path))?.toString() ?? sampleKey;
    },
  };
}

// --- internal ---

function resultPath({ batchId, sampleKey, name }: StageKey): string {
  return `${sampleFolder(batchId, sampleKey)}/${name}.json`;
}
