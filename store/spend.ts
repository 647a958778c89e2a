/**
 * `spend/<worker>.jsonl`: one line per paid call, which ends with what its worker has paid in all: the sum over workers and resumes
 * takes the last line of each.
 */

import pLimit from 'p-limit';
import type { SpendLedger, SpendLine } from '../domain/store.ts';
import { addCost, addUsage, NO_USAGE, type Usage } from '../domain/trajectory.ts';
import { batchFolder } from './batches.ts';
import { linesFrom } from './lines.ts';
import type { Storage } from './storage.ts';

/** More than any line has. */
const TAIL_BYTES = 16 << 10;

export function createSpend(storage: Storage): SpendLedger {
  const folder = (batchId: string) => `${batchFolder(batchId)}/spend`;
  /** By batch, of this process. */
  const paid = new Map<string, Sum>();
  /** A line that could not be written has no part in the totals after it. */
  const inOrder = pLimit(1);

  return {
    async record(batchId, line) {
      const { usage, costUsd } = line;
      await inOrder(async () => {
        const total = add(paid.get(batchId) ?? NOTHING, { calls: 1, usage, costUsd });
        await storage.lines(folder(batchId)).append({ ...line, total } satisfies Line);
        paid.set(batchId, total);
      });
    },

    async total(batchId) {
      const names = await storage.list(folder(batchId));
      let all = NOTHING;
      for (const parts of partsByWorker(names)) {
        const paths = parts.map((name) => `${folder(batchId)}/${name}`);
        all = add(
          all,
          (await lastTotal(storage, paths.at(-1) ?? '')) ?? (await sum(storage, paths)),
        );
      }
      return all;
    },
  };
}

// --- internal ---

interface Sum {
  calls: number;
  usage: Usage;
  costUsd: number | null;
}

interface Line extends SpendLine {
  /** All that this process has paid in the batch, this call included. */
  total: Sum;
}

const NOTHING: Sum = { calls: 0, usage: NO_USAGE, costUsd: 0 };

function add(a: Sum, b: Sum): Sum {
  return {
    calls: a.calls + b.calls,
    usage: addUsage(a.usage, b.usage),
    costUsd: addCost(a.costUsd, b.costUsd),
  };
}

/** Of the last whole line; undefined where it has none. */
async function lastTotal(storage: Storage, path: string): Promise<Sum | undefined> {
  const tail = await storage.readFrom(path, -TAIL_BYTES);
  const end = tail.lastIndexOf('\n');
  const start = tail.lastIndexOf('\n', end - 1) + 1;
  if (end < 0 || (start === 0 && tail.length === TAIL_BYTES)) return undefined;
  return (JSON.parse(tail.toString('utf8', start, end)) as Partial<Line>).total;
}

/** Line by line, of a ledger that an earlier version began. */
async function sum(storage: Storage, paths: string[]): Promise<Sum> {
  let all = NOTHING;
  for (const path of paths) {
    for await (const { line } of linesFrom(storage, path, 0)) {
      const { usage, costUsd } = JSON.parse(line) as SpendLine;
      all = add(all, { calls: 1, usage, costUsd });
    }
  }
  return all;
}

/** A worker's lines may be in several files: `<worker>.jsonl`, `<worker>.2.jsonl`, in this order. */
function partsByWorker(names: string[]): string[][] {
  const byWorker = new Map<string, string[]>();
  for (const name of names) {
    const [, worker = name, part = '1'] = /^(.*?)(?:\.(\d+))?\.jsonl$/.exec(name) ?? [];
    const parts = byWorker.get(worker) ?? [];
    parts[Number(part) - 1] = name;
    byWorker.set(worker, parts);
  }
  return [...byWorker.values()].map((parts) => parts.filter((name) => name !== undefined));
}
