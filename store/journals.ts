/** A rollout's journal: one segment per epoch beside its lease, compressed into a blob when it is closed. */

import { basename } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { JournalEntry } from '../domain/ports.ts';
import type { Spent } from '../domain/sample.ts';
import type { Blobs, Journals, Lease, SegmentJournal } from '../domain/store.ts';
import { addCost, addUsage, NO_USAGE } from '../domain/trajectory.ts';
import { leaseFolder } from './leases.ts';
import { parseLines } from './lines.ts';
import { countedEntries, origin, ownEntries, segmentPath } from './segments.ts';
import type { Storage } from './storage.ts';

const compress = promisify(gzip);
const decompress = promisify(gunzip);

export function createJournals(storage: Storage, blobs: Blobs): Journals {
  return {
    of: (lease) => openSegment(storage, lease, blobs),

    async read(ref) {
      const text = await decompress(await blobs.get(ref));
      return parseLines<JournalEntry>(text.toString());
    },

    async wasted({ rolloutId, epoch }) {
      const folder = leaseFolder(rolloutId);
      const kept = await keptOf(storage, folder, epoch);
      let spent: Spent = { usage: NO_USAGE, costUsd: 0 };
      for (let each = 1; each <= epoch; each += 1) {
        const own = await ownEntries(storage, folder, each);
        for (const entry of own.slice(kept.get(each) ?? 0)) {
          if (entry.kind !== 'reply') continue;
          spent = {
            usage: addUsage(spent.usage, entry.reply.usage),
            costUsd: addCost(spent.costUsd, entry.reply.costUsd),
          };
        }
      }
      return spent;
    },
  };
}

// --- internal ---

function openSegment(storage: Storage, { rolloutId, epoch }: Lease, blobs: Blobs): SegmentJournal {
  const folder = leaseFolder(rolloutId);
  const log = storage.log(segmentPath(folder, epoch));
  const share = () => storage.share(segmentPath(folder, epoch));
  let trees = 0;
  return {
    open: () => countedEntries(storage, folder, epoch),

    async append(entry) {
      const from = origin([entry]);
      // Whoever goes on after this one, on whatever host, reads both.
      if (from !== undefined) await storage.share(segmentPath(folder, from.epoch));
      await log.append(entry);
    },

    async before() {
      for (let earlier = epoch - 1; earlier > 0; earlier -= 1) {
        const entries = await countedEntries(storage, folder, earlier);
        if (entries.length > 0) return { epoch: earlier, entries };
      }
      return undefined;
    },

    async saveTree(tree) {
      const name = treeName(epoch, ++trees);
      await storage.writeOnce(`${folder}/${name}`, await compress(tree));
      await log.append({ kind: 'mark', mark: 'saved', tree: name, at: new Date().toISOString() });
      await share();
      await removeOlderTrees(storage, folder, epoch, trees);
    },

    async readTree(name) {
      const bytes = await storage.read(`${folder}/${basename(name)}`);
      return bytes && decompress(bytes);
    },

    share,

    async close() {
      await log.sync();
      const lines = (await countedEntries(storage, folder, epoch)).map((entry) =>
        JSON.stringify(entry),
      );
      return blobs.put(await compress(lines.map((line) => `${line}\n`).join('')));
    },
  };
}

const TREE = /^(\d+)-(\d+)\.tree\.gz$/;

function treeName(epoch: number, number: number): string {
  return `${epoch}-${number}.tree.gz`;
}

/** Those before a tree, but one: after a power cut its mark may not be there. An owner that came later has trees of its own. */
async function removeOlderTrees(
  storage: Storage,
  folder: string,
  epoch: number,
  number: number,
): Promise<void> {
  for (const name of await storage.list(folder)) {
    const [, ofEpoch, its] = TREE.exec(name) ?? [];
    if (ofEpoch === undefined || Number(ofEpoch) > epoch) continue;
    if (Number(ofEpoch) < epoch ? number > 1 : Number(its) < number - 1)
      await storage.remove(`${folder}/${name}`);
  }
}

/** How many of its own entries count of each epoch, seen from one; those that are not named have none. */
async function keptOf(
  storage: Storage,
  folder: string,
  last: number,
): Promise<Map<number, number>> {
  const kept = new Map<number, number>();
  let counted = Number.POSITIVE_INFINITY;
  for (let epoch = last; epoch > 0;) {
    const own = await ownEntries(storage, folder, epoch);
    const from = origin(own);
    kept.set(epoch, Math.max(0, Math.min(own.length, counted - (from?.entries ?? 0))));
    counted = Math.min(counted, from?.entries ?? 0);
    epoch = from?.epoch ?? 0;
  }
  return kept;
}
