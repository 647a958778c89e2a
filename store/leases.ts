/**
 * Who owns a rollout. One file per epoch under `leases/<rollout>/`: creating it is the conditional write that decides a race.
 * They live outside the samples' folders so that listing what is owned now does not grow with what is done.
 */

import { stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { JournalEntry } from '../domain/ports.ts';
import type { Leases, OwnerState } from '../domain/store.ts';
import { listFolder, readIfThere, removeTree, writeOnce } from './files.ts';
import { type Owner, runsHere, thisProcess } from './owner.ts';
import { countedEntries } from './segments.ts';

/** A lease that its owner has not renewed for this long, on another host, has run out. */
export const LEASE_MS = 60_000;
const RENEW_MS = 10_000;

interface LeaseRecord {
  owner: Owner;
  fruitless: number;
  /** Most steps any epoch before this one had reached. */
  furthest: number;
}

/** Folder of a rollout's lease and journal segments. */
export function leaseFolder(leases: string, rolloutId: string): string {
  return join(leases, rolloutId.replaceAll('/', '~'));
}

export function createLeases(folder: string): Leases {
  const renewals = new Map<string, NodeJS.Timeout>();

  return {
    async take(rolloutId) {
      const at = leaseFolder(folder, rolloutId);
      for (;;) {
        const last = await lastEpoch(at);
        const { fruitless, furthest } = await standing(at, last);
        const epoch = last + 1;
        const record: LeaseRecord = { owner: thisProcess(), fruitless, furthest };
        const path = join(at, `${epoch}.lease`);
        if (await writeOnce(path, JSON.stringify(record))) {
          stopRenewing(join(at, `${last}.lease`));
          const renewal = setInterval(() => void touch(path), RENEW_MS);
          renewal.unref();
          renewals.set(path, renewal);
          return { rolloutId, epoch, fruitless };
        }
      }
    },

    async holds({ rolloutId, epoch }) {
      return (await lastEpoch(leaseFolder(folder, rolloutId))) === epoch;
    },

    async release({ rolloutId, epoch }) {
      const at = leaseFolder(folder, rolloutId);
      stopRenewing(join(at, `${epoch}.lease`));
      // Settled rollouts have no folder, and must not get one again.
      if ((await lastEpoch(at)) === epoch) await writeOnce(join(at, `${epoch}.released`), '');
    },

    async settle(rolloutId) {
      const at = leaseFolder(folder, rolloutId);
      for (const name of await listFolder(at)) stopRenewing(join(at, name));
      await removeTree(at);
    },

    ownerOf: (rolloutId) => ownerOf(leaseFolder(folder, rolloutId)),
  };

  function stopRenewing(path: string): void {
    clearInterval(renewals.get(path));
    renewals.delete(path);
  }
}

// --- internal ---

async function ownerOf(at: string): Promise<OwnerState> {
  const epoch = await lastEpoch(at);
  if (epoch === 0) return 'none';
  if ((await readIfThere(join(at, `${epoch}.released`))) !== undefined) return 'gone';
  const path = join(at, `${epoch}.lease`);
  const record = await readRecord(path);
  if (record === undefined) return 'none';
  if (record.owner.host === thisProcess().host) {
    return runsHere(record.owner) ? 'live' : 'gone';
  }
  const renewed = await stat(path).catch(() => undefined);
  return renewed !== undefined && Date.now() - renewed.mtimeMs < LEASE_MS ? 'live' : 'gone';
}

async function touch(path: string): Promise<void> {
  const now = new Date();
  // A lease that is gone was settled by its next owner.
  await utimes(path, now, now).catch(() => undefined);
}

async function lastEpoch(at: string): Promise<number> {
  const epochs = (await listFolder(at)).flatMap((name) =>
    name.endsWith('.lease') ? [Number.parseInt(name, 10)] : [],
  );
  return Math.max(0, ...epochs);
}

async function readRecord(path: string): Promise<LeaseRecord | undefined> {
  const bytes = await readIfThere(path);
  return bytes === undefined ? undefined : (JSON.parse(bytes.toString()) as LeaseRecord);
}

/** How the rollout stands for its next owner, by what the last one achieved and how it went. */
async function standing(
  at: string,
  epoch: number,
): Promise<{ fruitless: number; furthest: number }> {
  const record = epoch === 0 ? undefined : await readRecord(join(at, `${epoch}.lease`));
  if (record === undefined) return { fruitless: 0, furthest: 0 };
  const reached = progressOf(await countedEntries(at, epoch));
  const furthest = Math.max(record.furthest, reached);
  if ((await readIfThere(join(at, `${epoch}.released`))) !== undefined) {
    return { fruitless: 0, furthest };
  }
  return { fruitless: reached > record.furthest ? 0 : record.fruitless + 1, furthest };
}

/** Progress is a Reply or an Observation: a Sent alone would hide a request that kills its worker every time. */
function progressOf(entries: JournalEntry[]): number {
  return entries.filter(({ kind }) => kind === 'reply' || kind === 'observation').length;
}
