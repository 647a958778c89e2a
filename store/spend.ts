/**
 * `spend/<worker>.jsonl`: one line per paid call, which ends with what its worker has paid in all: the sum over workers and resumes
 * takes the last line of each.
 */

import pLimit from 'p-limit';
import {
  addTotals,
  NOTHING_SPENT,
  placeOf,
  type SpendLine,
  type SpendTotal,
  toTotal,
} from '../domain/spend.ts';
import type { SpendLedger } from '../domain/store.ts';
import { batchFolder } from './batches.ts';
import { linesFrom } from './lines.ts';
import type { Storage } from './storage.ts';

/** More than any line has, but that of a batch which was left alone for hundreds of times. */
const TAIL_BYTES = 16 << 10;

export function createSpend(storage: Storage): SpendLedger {
  const folder = (batchId: string) => `${batchFolder(batchId)}/spend`;
  /** By batch, of this process. */
  const paid = new Map<string, SpendTotal>();
  /** A line that could not be written has no part in the totals after it. */
  const inOrder = pLimit(1);

  async function pathsByWorker(batchId: string): Promise<[worker: string, paths: string[]][]> {
    const names = partsByWorker(await storage.list(folder(batchId)));
    return [...names].map(([worker, parts]) => [
      worker,
      parts.map((name) => `${folder(batchId)}/${name}`),
    ]);
  }

  async function byWorker(batchId: string): Promise<Map<string, SpendTotal>> {
    const totals = (await pathsByWorker(batchId)).map(async ([worker, paths]) => {
      const total = (await lastTotal(storage, paths.at(-1) ?? '')) ?? (await sum(storage, paths));
      return [worker, total] as const;
    });
    return new Map(await Promise.all(totals));
  }

  return {
    async record(batchId, line) {
      await inOrder(async () => {
        const total = addTotals(paid.get(batchId) ?? NOTHING_SPENT, toTotal(line));
        await storage.lines(folder(batchId)).append({ ...line, total } satisfies Line);
        paid.set(batchId, total);
      });
    },

    own: (batchId) => paid.get(batchId) ?? NOTHING_SPENT,

    byWorker,

    async total(batchId) {
      return [...(await byWorker(batchId)).values()].reduce(addTotals, NOTHING_SPENT);
    },

    async *lines(batchId) {
      for (const [, paths] of await pathsByWorker(batchId)) yield* read(storage, paths);
    },
  };
}

// --- internal ---

interface Line extends SpendLine {
  /** All that this process has paid in the batch, this call included. */
  total: SpendTotal;
}

/** Of the last whole line; undefined where it has none of this form. */
async function lastTotal(storage: Storage, path: string): Promise<SpendTotal | undefined> {
  const tail = await storage.readFrom(path, -TAIL_BYTES);
  const end = tail.lastIndexOf('\n');
  const start = tail.lastIndexOf('\n', end - 1) + 1;
  if (end < 0 || (start === 0 && tail.length === TAIL_BYTES)) return undefined;
  const { total } = JSON.parse(tail.toString('utf8', start, end)) as Partial<Line>;
  return total?.worked === undefined ? undefined : total;
}

/** Line by line, of a ledger that an earlier version began. */
async function sum(storage: Storage, paths: string[]): Promise<SpendTotal> {
  let all = NOTHING_SPENT;
  for await (const line of read(storage, paths)) all = addTotals(all, toTotal(line));
  return all;
}

async function* read(storage: Storage, paths: string[]): AsyncGenerator<SpendLine> {
  for (const path of paths) {
    for await (const { line } of linesFrom(storage, path, 0)) {
      const { total: _, ...paid } = JSON.parse(line) as Partial<Line> & Pick<Line, 'call'>;
      // Lines of earlier versions say what they are for in their call alone.
      yield { ...placeOf(paid.call), price: null, ...paid } as SpendLine;
    }
  }
}

/** A worker's lines may be in several files: `<worker>.jsonl`, `<worker>.2.jsonl`, in this order. */
function partsByWorker(names: string[]): Map<string, string[]> {
  const byWorker = new Map<string, string[]>();
  for (const name of names) {
    const [, worker = name, part = '1'] = /^(.*?)(?:\.(\d+))?\.jsonl$/.exec(name) ?? [];
    const parts = byWorker.get(worker) ?? [];
    parts[Number(part) - 1] = name;
    byWorker.set(worker, parts);
  }
  return new Map(
    [...byWorker].map(([worker, parts]) => [worker, parts.filter((name) => name !== undefined)]),
  );
}
