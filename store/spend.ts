/** `spend/<worker>.jsonl`: one line per paid call, summed over all workers and resumes. */

import type { SpendLedger, SpendLine } from '../domain/store.ts';
import { addCost, addUsage, NO_USAGE, type Usage } from '../domain/trajectory.ts';
import { batchFolder } from './batches.ts';
import { parseLines } from './lines.ts';
import type { Storage } from './storage.ts';

export function createSpend(storage: Storage): SpendLedger {
  const folder = (batchId: string) => `${batchFolder(batchId)}/spend`;
  const sums = new Map<string, Sum>();

  return {
    async record(batchId, line) {
      await storage.lines(folder(batchId)).append(line);
    },

    async total(batchId) {
      let all: Sum = NOTHING;
      for (const name of await storage.list(folder(batchId))) {
        const path = `${folder(batchId)}/${name}`;
        // Asked every few seconds: only what has come since the last time is read.
        const known = sums.get(path) ?? NOTHING;
        const sum = advance(known, await storage.readFrom(path, known.bytes));
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

function advance(sum: Sum, added: Buffer): Sum {
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
