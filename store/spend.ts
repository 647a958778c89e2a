/** `spend/<worker>.jsonl`: one line per paid call, summed over all workers and resumes. */

import { join } from 'node:path';
import type { SpendLedger, SpendLine } from '../domain/store.ts';
import { addCost, addUsage, NO_USAGE, type Usage } from '../domain/trajectory.ts';
import { createAppendLogs } from './append-log.ts';
import { listFolder, parseLines, readFrom } from './files.ts';
import { ownerName, thisProcess } from './owner.ts';

export function createSpend(batches: string): SpendLedger {
  const folder = (batchId: string) => join(batches, batchId, 'spend');
  const logOf = createAppendLogs();
  const sums = new Map<string, Sum>();

  return {
    async record(batchId, line) {
      await logOf(join(folder(batchId), `${ownerName(thisProcess())}.jsonl`)).append(line);
    },

    async total(batchId) {
      let all: Sum = NOTHING;
      for (const name of await listFolder(folder(batchId))) {
        const path = join(folder(batchId), name);
        // Asked every few seconds: only what has come since the last time is read.
        const sum = await advance(sums.get(path) ?? NOTHING, path);
        sums.set(path, sum);
        all = add(all, sum);
      }
      const { calls, usage, costUsd } = all;
      return { calls, usage, costUsd };
    },
  };
}

// --- internal ---

interface Sum {
  /** Bytes of the whole lines that are in the sum. */
  bytes: number;
  calls: number;
  usage: Usage;
  costUsd: number | null;
}

const NOTHING: Sum = { bytes: 0, calls: 0, usage: NO_USAGE, costUsd: 0 };

async function advance(sum: Sum, path: string): Promise<Sum> {
  const added = await readFrom(path, sum.bytes);
  const whole = added.subarray(0, added.lastIndexOf('\n') + 1);
  return parseLines<SpendLine>(whole.toString()).reduce(
    (so, { usage, costUsd }) => add(so, { bytes: 0, calls: 1, usage, costUsd }),
    { ...sum, bytes: sum.bytes + whole.length },
  );
}

function add(a: Sum, b: Sum): Sum {
  return {
    bytes: a.bytes + b.bytes,
    calls: a.calls + b.calls,
    usage: addUsage(a.usage, b.usage),
    costUsd: addCost(a.costUsd, b.costUsd),
  };
}
