/** Changes what a batch was started with while it runs: kept in the store, and told to the batch's workflow. */

import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import { batchWorkflowId } from '../domain/ids.ts';
import { hasPrices } from '../domain/price.ts';
import type { BatchRecord, Store, TuningChange } from '../domain/store.ts';
import { resizeSignal } from '../workflows/messages.ts';
import { type BatchState, readBatchState } from './batch-state.ts';
import { CliError, EXIT } from './errors.ts';
import { startBatch } from './launch.ts';
import { DEFAULT_WINDOW } from './window.ts';

/**
 * Returns how the batch stands then. One that had reached its cap goes on, where a server answers and the cap allows it. Throws
 * CliError for a cap that can't be held.
 */
export async function tuneBatch(
  store: Store,
  batch: BatchRecord,
  values: TuningChange,
  client: Client | undefined,
): Promise<BatchState> {
  if (typeof values.maxCostUsd === 'number' && !hasPrices(batch.config.teacher)) {
    throw new CliError(
      EXIT.config,
      `${batch.id} has no prices — no cost is known, and a cap would hold nothing`,
      { next: 'set teacher.price in twinpatch.yaml, then twinpatch run --max-cost USD' },
    );
  }
  await store.tunings.change(batch.id, values);
  if (client === undefined) return readBatchState(store, batch, client);
  if (values.window !== undefined) await resize(client, batch, values.window ?? DEFAULT_WINDOW);
  const state = await readBatchState(store, batch, client);
  if (state.phase !== 'budget reached' || state.budget.reached !== null) return state;
  await startBatch(client, batch, state.tuned.window ?? undefined);
  return readBatchState(store, batch, client);
}

// --- internal ---

async function resize(client: Client, { id }: BatchRecord, window: number): Promise<void> {
  try {
    await client.workflow.getHandle(batchWorkflowId(id)).signal(resizeSignal, window);
  } catch (error) {
    // It does not run; its next run has the window of the store.
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}
