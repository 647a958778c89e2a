/**
 * Who owns a rollout. One file per epoch under `leases/<rollout>/`: creating it is the conditional write that decides a race.
 * They live outside the samples' folders so that listing what is owned now does not grow with what is done.
 */

import type { JournalEntry } from '../domain/ports.ts';
import type { Leases, OwnerState } from '../domain/store.ts';
import { type Owner, thisProcess } from './owner.ts';
import type { Presence } from './presence.ts';
import { countedEntries } from './segments.ts';
import type { Storage } from './storage.ts';

/** Folder of a rollout's leases and journal segments. */
export function leaseFolder(rolloutId: string): string {
  return `leases/${rolloutId.replaceAll('/', '~')}`;
}

export function createLeases(storage: Storage, presence: Presence): Leases {
  const isThere = async (path: string) => (await storage.read(path)) !== undefined;

  async function lastEpoch(folder: string): Promise<number> {
    const epochs = (await storage.list(folder)).flatMap((name) =>
      name.endsWith(LEASE) ? [Number.parseInt(name, 10)] : [],
    );
    return Math.max(0, ...epochs);
  }

  async function readRecord(folder: string, epoch: number): Promise<LeaseRecord | undefined> {
    const bytes = await storage.read(`${folder}/${epoch}${LEASE}`);
    return bytes === undefined ? undefined : (JSON.parse(bytes.toString()) as LeaseRecord);
  }

  /** How the rollout stands for its next owner, by what the last one achieved and how it went. */
  async function standing(folder: string, epoch: number) {
    const record = epoch === 0 ? undefined : await readRecord(folder, epoch);
    if (record === undefined) return { fruitless: 0, furthest: 0 };
    const entries = await countedEntries(storage, folder, epoch);
    const reached = progressOf(entries);
    const furthest = Math.max(record.furthest, reached);
    if (await isThere(`${folder}/${epoch}${RELEASED}`)) return { fruitless: 0, furthest };
    // Lost while it waited for the rollout's first sandbox: nothing in the rollout can have ended it.
    if (furthest === 0 && entries.length === 0) return { fruitless: record.fruitless, furthest };
    return { fruitless: reached > record.furthest ? 0 : record.fruitless + 1, furthest };
  }

  return {
    async take(rolloutId) {
      await presence.show();
      const folder = leaseFolder(rolloutId);
      for (;;) {
        const last = await lastEpoch(folder);
        const { fruitless, furthest } = await standing(folder, last);
        const epoch = last + 1;
        const record: LeaseRecord = { owner: thisProcess(), fruitless, furthest };
        if (await storage.writeOnce(`${folder}/${epoch}${LEASE}`, JSON.stringify(record))) {
          return { rolloutId, epoch, fruitless };
        }
      }
    },

    async holds({ rolloutId, epoch }) {
      return (await lastEpoch(leaseFolder(rolloutId))) === epoch;
    },

    async release({ rolloutId, epoch }) {
      const folder = leaseFolder(rolloutId);
      // Settled rollouts have no folder, and must not get one again.
      if ((await lastEpoch(folder)) === epoch) {
        await storage.writeOnce(`${folder}/${epoch}${RELEASED}`, '');
      }
    },

    settle: (rolloutId) => storage.removeTree(leaseFolder(rolloutId)),

    async ownerOf(rolloutId): Promise<OwnerState> {
      const folder = leaseFolder(rolloutId);
      const epoch = await lastEpoch(folder);
      if (epoch === 0) return 'none';
      if (await isThere(`${folder}/${epoch}${RELEASED}`)) return 'gone';
      const record = await readRecord(folder, epoch);
      if (record === undefined) return 'none';
      return (await presence.isAlive(record.owner)) ? 'live' : 'gone';
    },
  };
}

// --- internal ---

const LEASE = '.lease';
const RELEASED = '.released';

interface LeaseRecord {
  owner: Owner;
  fruitless: number;
  /** Most steps any epoch before this one had reached. */
  furthest: number;
}

/** Progress is a Reply or an Observation: a Sent alone would hide a request that kills its worker every time. */
function progressOf(entries: JournalEntry[]): number {
  return entries.filter(({ kind }) => kind === 'reply' || kind === 'observation').length;
}
