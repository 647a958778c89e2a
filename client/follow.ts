/** Watches a batch until it ends: a live block on a terminal, plain lines without one. */

import { type Client, WorkflowFailedError } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import { createLogUpdate } from 'log-update';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchRecord, Store } from '../domain/store.ts';
import { batchWorkflowId } from '../domain/ids.ts';
import { type BatchState, readBatchState } from './batch-state.ts';
import { CliError, EXIT, isServerGone } from './errors.ts';
import { renderProgress } from './render-progress.ts';

const TERMINAL_EVERY_MS = 500;
/** Without a terminal a line is printed when something changed, at first this often, later twenty times per time gone by. */
const LINE_EVERY_MS = 3_000;
const LINES_PER_ELAPSED = 20;

const block = createLogUpdate(process.stderr);

/**
 * Follows until the batch workflow has ended, and shows and returns its last state; `detached` when `signal` aborts.
 * Throws CliError when the server stays away.
 */
export async function follow(
  client: Client,
  store: Store,
  batch: BatchRecord,
  signal: AbortSignal,
): Promise<BatchState | 'detached'> {
  const terminal = process.stderr.isTTY === true;
  const show = terminal ? showBlock : showLines();
  const startedAt = performance.now();
  const aborted = new Promise<'detached'>((settle) => {
    signal.addEventListener('abort', () => settle('detached'), { once: true });
  });
  try {
    for (let ending = awaitEnd(client, batch); ;) {
      // A server that is away is waited for in here, by the client's own retries.
      const state = await Promise.race([readBatchState(store, batch, client), aborted]);
      if (state === 'detached') return state;
      show(state, performance.now() - startedAt);
      const news = await Promise.race([sleep(TERMINAL_EVERY_MS), ending, aborted]);
      if (news === 'detached') return news;
      if (news === 'ended') {
        const last = await readBatchState(store, batch, client);
        show(last, performance.now() - startedAt, true);
        return last;
      }
      if (news === 'lost') ending = awaitEnd(client, batch);
    }
  } catch (error) {
    if (!isServerGone(error)) throw error;
    throw new CliError(
      EXIT.failed,
      `the Temporal server does not answer any more — it was stopped or can't be reached; what is done of ${batch.id} is in the store`,
      { cause: error, next: `twinpatch resume ${batch.id}` },
    );
  } finally {
    if (terminal) block.done();
  }
}

// --- internal ---

/** Resolves with the end of the batch workflow, or when the server was lost while waiting for it. */
function awaitEnd(client: Client, { id }: BatchRecord): Promise<'ended' | 'lost'> {
  const ending = client.workflow
    .getHandle(batchWorkflowId(id))
    .result()
    .then(
      () => 'ended' as const,
      (error: unknown) => {
        if (isServerGone(error)) return 'lost' as const;
        // Not found, or terminated in the server's own UI.
        if (error instanceof WorkflowNotFoundError || error instanceof WorkflowFailedError)
          return 'ended' as const;
        throw error;
      },
    );
  // It may fail while the state is read; the next look at it reports that.
  ending.catch(() => undefined);
  return ending;
}

function showBlock(state: BatchState, elapsedMs: number): void {
  block(renderProgress(state, elapsedMs));
}

function showLines(): (state: BatchState, elapsedMs: number, isLast?: boolean) => void {
  let shown = '';
  let shownAt = -Infinity;
  return (state, elapsedMs, isLast = false) => {
    // The time of the next try is news to nobody.
    const waiting = state.waiting.map((wait) => ({ ...wait, nextTryAt: null }));
    const text = renderProgress({ ...state, waiting }, 0);
    const pauseMs = isLast ? 0 : Math.max(LINE_EVERY_MS, elapsedMs / LINES_PER_ELAPSED);
    if (text === shown || performance.now() - shownAt < pauseMs) return;
    shown = text;
    shownAt = performance.now();
    process.stderr.write(`${renderProgress(state, elapsedMs).split('\n').join(' | ')}\n`);
  };
}
