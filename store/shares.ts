/** `askers/<worker>` of a batch: touched by every worker for as long as it asks the batch's teacher, so that all know how many they are. */

import type { Shares } from '../domain/store.ts';
import { batchFolder } from './batches.ts';
import { isGoneByName, ownerName, thisProcess } from './owner.ts';
import type { Storage } from './storage.ts';

/** A worker that has not asked for this long leaves its part to the others. */
export const ASKER_MS = 30_000;

export function createShares(storage: Storage): Shares {
  async function isAsking(folder: string, name: string): Promise<boolean> {
    if (isGoneByName(name)) return false;
    const ageMs = await storage.ageMs(`${folder}/${name}`);
    return ageMs !== undefined && ageMs < ASKER_MS;
  }

  return {
    async take(batchId) {
      const folder = `${batchFolder(batchId)}/askers`;
      const self = ownerName(thisProcess());
      await storage.touch(`${folder}/${self}`);
      const askers: string[] = [];
      for (const name of await storage.list(folder)) {
        if (name === self || (await isAsking(folder, name))) askers.push(name);
        // One that was only slow comes back with its next touch.
        else await storage.remove(`${folder}/${name}`);
      }
      // A listing may be older than the touch.
      if (!askers.includes(self)) askers.push(self);
      return { index: askers.sort().indexOf(self), of: askers.length };
    },
  };
}
