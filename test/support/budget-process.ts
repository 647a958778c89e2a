/**
 * A worker of a batch, as far as money goes: `budget-process.ts STORE BATCH CALLS` has so many calls of $0.01 under way, one after the
 * other each, until the batch's cap stops it; then prints how many it paid.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { openStore } from '../../store/open.ts';
import { createBudget } from '../../worker/budget.ts';
import { toSpendLine } from './paid-calls.ts';

const [location = '', batchId = '', calls = ''] = process.argv.slice(2);
const store = await openStore(location);
const budget = createBudget(store, batchId);
const { signal } = new AbortController();
let paid = 0;

async function callUntilTheCap(): Promise<void> {
  for (;;) {
    try {
      await budget.admit(signal);
    } catch {
      return;
    }
    await sleep(10);
    await store.spend.record(batchId, toSpendLine(0.01));
    paid += 1;
  }
}

await Promise.all(Array.from({ length: Number(calls) }, callUntilTheCap));
await store.close();
process.stdout.write(`${paid}\n`);
