/**
 * `budget/<n>.json`: what every worker has reserved of a batch's caps. Each file holds all of it and is written once, so that of two
 * workers that reserve at the same time the second sees what the first has.
 */

import { amountOf, claimOf, type Claim } from '../domain/budget.ts';
import type { Claims, SpendLedger } from '../domain/store.ts';
import { batchFolder } from './batches.ts';
import { ownerName, thisProcess } from './owner.ts';
import type { Storage } from './storage.ts';

/** Older ones are removed; who was stopped for longer in the middle of writing one must find that it is too late. */
const KEPT = 50;
/** Beside them are those that are just being written. */
const NAME = /^\d+\.json$/;

export function createClaims(storage: Storage, spend: SpendLedger): Claims {
  const folder = (batchId: string) => `${batchFolder(batchId)}/budget`;
  const pathOf = (batchId: string, number: number) => `${folder(batchId)}/${number}.json`;

  async function numbers(batchId: string): Promise<number[]> {
    const names = await storage.list(folder(batchId));
    return names
      .filter((name) => NAME.test(name))
      .map((name) => Number.parseInt(name, 10))
      .sort((a, b) => a - b);
  }

  async function read(batchId: string, number: number): Promise<Map<string, Claim>> {
    const bytes = await storage.read(pathOf(batchId, number));
    return new Map(Object.entries(JSON.parse(bytes?.toString() ?? '{}') as Record<string, Claim>));
  }

  return {
    async claim(batchId, caps, wish) {
      const worker = ownerName(thisProcess());
      for (;;) {
        const known = await numbers(batchId);
        const last = known.at(-1) ?? 0;
        const claims = await read(batchId, last);
        const totals = await spend.byWorker(batchId);
        totals.set(worker, spend.own(batchId));
        const spent = new Map([...totals].map(([name, total]) => [name, amountOf(total)]));
        const nowMs = Date.now();
        const claim = claimOf({ caps, worker, wish, spent, claims, nowMs });
        if (claim === undefined) return undefined;
        const valid = [...claims].filter(([, { untilMs }]) => untilMs > nowMs);
        const all = Object.fromEntries([...valid, [worker, claim]]);
        const number = last + 1;
        if (!(await storage.writeOnce(pathOf(batchId, number), JSON.stringify(all)))) continue;
        for (const old of known.filter((each) => each <= number - KEPT)) {
          await storage.remove(pathOf(batchId, old));
        }
        if (((await numbers(batchId)).at(-1) ?? 0) < number + KEPT) return claim;
      }
    },
  };
}
