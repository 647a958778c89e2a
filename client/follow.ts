/** Watches a batch until it ends: a live block on a terminal, plain lines without one. */

import type { Client } from '@temporalio/client';
import { createLogUpdate } from 'log-update';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchRecord, Store } from '../domain/store.ts';
import { batchWorkflowId } from '../domain/ids.ts';
import { type BatchState, readBatchState } from './batch-state.ts';
import { renderProgress } from './render-progress.ts';

const TERMINAL_EVERY_MS = 500;
/** Without a terminal a line is printed when something changed, at first this often, later twenty times per time gone by. */
const LINE_EVERY_MS = 3_000;
const LINES_PER_ELAPSED = 20;

const block = createLogUpdate(process.stderr);

/** How watching ended: with the batch, or because the user turned away from it. */
export type FollowEnd = 'ended' | 'detached';

/** Follows until the batch workflow has ended or `signal` aborts. */
export async function follow(
  client: Client,
  store: Store,
  batch: BatchRecord,
  signal: AbortSignal,
): Promise<FollowEnd> {
  const terminal = process.stderr.isTTY === true;
  const show = terminal ? showBlock : showLines();
  const startedAt = Date.now();
  let ended = false;
  const watching = client.workflow
    .getHandle(batchWorkflowId(batch.id))
    .result()
    .finally(() => {
      ended = true;
    });
  // Its failure is reported below; until then nobody awaits it.
  watching.catch(() => undefined);
  while (!ended && !signal.aborted) {
    show(await readBatchState(store, batch, client), Date.now() - startedAt);
    await Promise.race([
      sleep(TERMINAL_EVERY_MS, undefined, { signal }).catch(() => undefined),
      watching.catch(() => undefined),
    ]);
  }
  if (terminal) block.done();
  if (signal.aborted) return 'detached';
  await watching;
  return 'ended';
}

// --- internal ---

function showBlock(state: BatchState, elapsedMs: number): void {
  block(renderProgress(state, elapsedMs));
}

function showLines(): (state: BatchState, elapsedMs: number) => void {
  let shown = '';
  let shownAt = 0;
  return (state, elapsedMs) => {
    const [, ...lines] = renderProgress(state, 0).split('\n');
    const text = lines.join('\n');
    const pauseMs = Math.max(LINE_EVERY_MS, elapsedMs / LINES_PER_ELAPSED);
    if (text === shown || Date.now() - shownAt < pauseMs) return;
    shown = text;
    shownAt = Date.now();
    process.stderr.write(`${renderProgress(state, elapsedMs).split('\n').join(' | ')}\n`);
  };
}
