/** One task of the bench of the store, in this process: `store-task.ts FOLDER TASK` prints what it took as a line of JSON. */

import { join } from 'node:path';
import { createLedgerActivities } from '../activities/ledger.ts';
import { readBatchState } from '../client/batch-state.ts';
import { exportBatches } from '../client/export-batch.ts';
import { addCost } from '../domain/trajectory.ts';
import { openStore } from '../store/open.ts';
import { runActivity } from '../test/support/activity-context.ts';
import { BATCH } from './finished-store.ts';
import type { StoreTask } from './store.ts';

const [folder = '', task = ''] = process.argv.slice(2);
const startedAt = performance.now();
const store = await openStore(folder);
const batch = await store.batches.get(BATCH);
if (batch === undefined) throw new Error(`no batch ${BATCH} in ${folder}`);

/** Each returns what it found, so that a figure of nothing shows. */
const tasks: Record<StoreTask, () => Promise<number>> = {
  nothing: () => Promise.resolve(0),

  status: async () => (await readBatchState(store, batch, undefined)).verified,

  async resume() {
    const { loadPage } = createLedgerActivities({
      store,
      closedSamples: () => Promise.resolve([]),
    });
    const page = await runActivity(() => loadPage({ batchId: BATCH, from: 0, count: 200 }));
    return page.samples.length;
  },

  async retry() {
    const outcomes = [...(await store.ends.outcomes(BATCH))];
    return outcomes.filter(({ verdict }) => verdict.kind === 'unverifiable').length;
  },

  async stats() {
    let cost: number | null = 0;
    let samples = 0;
    for await (const { spent } of store.ends.stream(BATCH)) {
      cost = addCost(cost, spent.costUsd);
      samples += 1;
    }
    return samples;
  },

  async export() {
    const options = { minRecall: 0.5, recallMode: 'exact' } as const;
    const { manifest } = await exportBatches(store, [batch], join(folder, 'rows'), options);
    return manifest.t1.rows + manifest.t2.rows;
  },

  rebuild: () => store.ends.rebuild(BATCH),
};

const found = await tasks[task as StoreTask]();
const seconds = Number(((performance.now() - startedAt) / 1000).toFixed(2));
const memoryMiB = Math.round(process.resourceUsage().maxRSS / 1024);
process.stdout.write(`${JSON.stringify({ found, seconds, memoryMiB })}\n`);
