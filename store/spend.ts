/** `spend/<worker>.jsonl`: one line per paid call, summed over all workers and resumes. */

import { join } from 'node:path';
import type { SpendLedger, SpendLine } from '../domain/store.ts';
import { addCost, addUsage, NO_USAGE } from '../domain/trajectory.ts';
import { type AppendLog, createAppendLog } from './append-log.ts';
import { listFolder, parseLines, readIfThere } from './files.ts';
import { ownerName, thisProcess } from './owner.ts';

export function createSpend(batches: string): SpendLedger {
  const folder = (batchId: string) => join(batches, batchId, 'spend');
  const logs = new Map<string, AppendLog>();

  return {
    async record(batchId, line) {
      const path = join(folder(batchId), `${ownerName(thisProcess())}.jsonl`);
      const log = logs.get(path) ?? createAppendLog(path);
      logs.set(path, log);
      await log.append(line);
    },

    async total(batchId) {
      let calls = 0;
      let usage = NO_USAGE;
      let costUsd: number | null = 0;
      for (const name of await listFolder(folder(batchId))) {
        const text = (await readIfThere(join(folder(batchId), name)))?.toString() ?? '';
        for (const line of parseLines<SpendLine>(text)) {
          calls += 1;
          usage = addUsage(usage, line.usage);
          costUsd = addCost(costUsd, line.costUsd);
        }
      }
      return { calls, usage, costUsd };
    },
  };
}
