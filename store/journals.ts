/** A rollout's journal: one segment per epoch beside its lease, compressed into a blob when it is closed. */

import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { JournalEntry } from '../domain/ports.ts';
import type { Spent } from '../domain/sample.ts';
import type { Blobs, Journals, SegmentJournal } from '../domain/store.ts';
import { addCost, addUsage, NO_USAGE } from '../domain/trajectory.ts';
import { createAppendLog } from './append-log.ts';
import { parseLines, readIfThere } from './files.ts';
import { leaseFolder, segmentName } from './leases.ts';

const compress = promisify(gzip);
const decompress = promisify(gunzip);

export function createJournals(leases: string, blobs: Blobs): Journals {
  return {
    of: ({ rolloutId, epoch }) =>
      openSegment(join(leaseFolder(leases, rolloutId), segmentName(epoch)), blobs),

    async read(ref) {
      const text = await decompress(await blobs.get(ref));
      return parseLines<JournalEntry>(text.toString());
    },

    async spentBefore({ rolloutId, epoch }) {
      let spent: Spent = { usage: NO_USAGE, costUsd: 0 };
      for (let earlier = 1; earlier < epoch; earlier += 1) {
        const path = join(leaseFolder(leases, rolloutId), segmentName(earlier));
        const text = (await readIfThere(path))?.toString() ?? '';
        for (const entry of parseLines<JournalEntry>(text)) {
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

function openSegment(path: string, blobs: Blobs): SegmentJournal {
  const log = createAppendLog(path);
  return {
    async open() {
      const text = (await readIfThere(path))?.toString() ?? '';
      return parseLines<JournalEntry>(text);
    },

    append: (entry) => log.append(entry),

    async close() {
      await log.sync();
      const segment = (await readIfThere(path)) ?? Buffer.alloc(0);
      return blobs.put(await compress(segment));
    },
  };
}
