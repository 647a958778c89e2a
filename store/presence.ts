/** Whether the process that owns something is alive: on this host by its pid, on another by a file that it touches. */

import { type Owner, ownerName, runsHere, thisProcess } from './owner.ts';
import type { Storage } from './storage.ts';

/** A process of another host that has not been heard of for this long is gone. */
export const LEASE_MS = 60_000;
const RENEW_MS = 10_000;

export interface Presence {
  /** Lets other hosts know from now on that this process is alive. */
  show(): Promise<void>;
  isAlive(owner: Owner): Promise<boolean>;
}

export function createPresence(storage: Storage): Presence {
  let shown: Promise<void> | undefined;
  const touch = (owner: Owner) => storage.touch(pathOf(owner));

  async function begin(): Promise<void> {
    await touch(thisProcess());
    // One touch that fails is made up for by the next.
    setInterval(() => void touch(thisProcess()).catch(() => undefined), RENEW_MS).unref();
  }

  return {
    async show() {
      shown ??= begin();
      await shown.catch((error: unknown) => {
        shown = undefined;
        throw error;
      });
    },

    async isAlive(owner) {
      if (owner.host === thisProcess().host) return runsHere(owner);
      const ageMs = await storage.ageMs(pathOf(owner));
      return ageMs !== undefined && ageMs < LEASE_MS;
    },
  };
}

// --- internal ---

function pathOf(owner: Owner): string {
  return `owners/${ownerName(owner)}`;
}
