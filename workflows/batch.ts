/** One batch: a sliding window of sample workflows over the manifest. */

import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { MainActivities } from '../activities/create-activities.ts';
import { sampleIndex, sampleWorkflowId } from '../domain/ids.ts';
import { eitherChoice } from '../domain/outcome.ts';
import type { SampleRef } from '../domain/sample.ts';
import { BATCH, REPO, STAGE } from './attributes.ts';
import {
  type BatchCarry,
  type BatchEnd,
  type BatchInput,
  type CancelMode,
  cancelSignal,
  pauseSignal,
  progressQuery,
  resizeSignal,
  resumeSignal,
  sampleEndedSignal,
} from './messages.ts';
import { sampleWorkflow } from './sample.ts';

const PAGE = 200;
/** How often samples that never reported are looked for. */
const RECONCILE_EVERY = '5m';

const { loadPage, reconcile } = proxyActivities<MainActivities>({
  startToCloseTimeout: '2m',
  // A task that was handed out by a server that died a moment later is with nobody.
  heartbeatTimeout: '20s',
  retry: { initialInterval: '1s', maximumInterval: '30s' },
});

/**
 * Starts every sample that has no content verdict, `window` at a time, and ends when all have ended.
 * Goes on in a new run when the history grows long; the samples, abandoned children, do not notice.
 */
export async function batchWorkflow(input: BatchInput): Promise<BatchEnd> {
  const { batchId } = input;
  let { window } = input;
  let { next, ended, paused, exhausted } = input.carried ?? {
    next: 0,
    ended: 0,
    paused: false,
    exhausted: false,
  };
  const live = new Set(input.carried?.live);
  let stopping: CancelMode | undefined = input.carried?.stopping;
  /** What of those that failed before is taken again; undefined: everything. */
  let again = input.carried?.again;
  let isReading = input.carried !== undefined;
  /** Grows when the manifest is to be read from its start again. */
  let pass = 0;
  let settledPass: number | undefined;

  const show = () =>
    setCurrentDetails(describe({ next, ended, paused, exhausted, live: live.size }));

  setHandler(sampleEndedSignal, ({ key, held }) => {
    if (live.delete(key)) ended += 1;
    if (held === 'budget') exhausted = true;
    show();
  });
  setHandler(pauseSignal, () => {
    paused = true;
    show();
  });
  setHandler(resumeSignal, (chosen) => {
    // A pass that is not over keeps what it was to take.
    again = isReading ? eitherChoice(again, chosen) : chosen;
    paused = false;
    exhausted = false;
    stopping = undefined;
    next = 0;
    pass += 1;
  });
  setHandler(resizeSignal, (size) => {
    window = size;
  });
  setHandler(cancelSignal, (mode) => {
    stopping = mode;
  });
  setHandler(progressQuery, () => ({
    next,
    live: [...live],
    ended,
    paused,
    exhausted,
    draining: stopping !== undefined,
  }));

  const isFull = () => workflowInfo().continueAsNewSuggested;
  const isStopping = () => stopping !== undefined || exhausted;

  /** Waits for a change, and looks for samples that closed without a word when there is none for long. */
  const wait = async (change: () => boolean) => {
    while (!(await condition(change, RECONCILE_EVERY))) await settleClosed();
  };
  const settleClosed = async () => {
    if (live.size === 0) return;
    for (const key of await reconcile({ batchId, keys: [...live] })) {
      if (live.delete(key)) ended += 1;
    }
  };
  const start = async (sample: SampleRef) => {
    live.add(sample.key);
    try {
      await startChild(sampleWorkflow, {
        workflowId: sampleWorkflowId(batchId, sample.key),
        args: [{ ...sample, repository: input.repository }],
        parentClosePolicy: ParentClosePolicy.ABANDON,
        // The ledger says what is done; a held sample's workflow has completed and must start again.
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        workflowTaskTimeout: '5s',
        staticSummary: sample.title,
        typedSearchAttributes: [
          { key: BATCH, value: batchId },
          { key: REPO, value: input.repository.slice(0, 200) },
          { key: STAGE, value: 'checkout' },
        ],
        priority: { fairnessKey: batchId },
      });
      show();
    } catch (error) {
      // It runs already, and reports to this workflow's id.
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  };

  try {
    for (;;) {
      show();
      if (isFull()) break;
      if (settledPass !== pass) {
        settledPass = pass;
        await settleClosed();
      }
      if (isStopping()) {
        if (stopping === 'now') await cancelLive();
        if (live.size === 0 && isStopping()) break;
        const mode = stopping;
        await wait(() => live.size === 0 || stopping !== mode || !isStopping() || isFull());
        continue;
      }
      const thisPass = pass;
      isReading = true;
      const page = await loadPage({ batchId, from: next, count: PAGE, again });
      for (const sample of page.samples) {
        if (!live.has(sample.key)) {
          await wait(() => (!paused && live.size < window) || isStopping() || isFull());
          if (isStopping() || isFull() || pass !== thisPass) break;
          await start(sample);
        }
        // Not page by page: a sample that ends without a content verdict must not start again after continue-as-new.
        if (pass === thisPass) next = sampleIndex(sample.key) + 1;
      }
      if (isStopping() || isFull() || pass !== thisPass) continue;
      next = page.next;
      if (next < page.planned) continue;
      isReading = false;
      await wait(() => live.size === 0 || pass !== thisPass || isStopping() || isFull());
      if (live.size === 0 && pass === thisPass) break;
    }
  } catch (error) {
    if (!isCancellation(error)) throw error;
    await CancellationScope.nonCancellable(cancelLive);
    return { ended, exhausted, cancelled: true };
  }

  await condition(allHandlersFinished);
  if (isFull() && (live.size > 0 || !isStopping())) {
    const carried: BatchCarry = { next, ended, paused, exhausted, live: [...live] };
    if (stopping !== undefined) carried.stopping = stopping;
    if (again !== undefined) carried.again = again;
    return continueAsNew<typeof batchWorkflow>({ ...input, window, carried });
  }
  const end = stopping !== undefined ? 'cancelled' : exhausted ? 'budget reached' : 'finished';
  setCurrentDetails(`**${end}** · ${ended} samples ended since it was started`);
  return { ended, exhausted, cancelled: stopping !== undefined };

  async function cancelLive(): Promise<void> {
    await Promise.all(
      [...live].map((key) =>
        // A sample that has closed meanwhile can't be cancelled, and needn't be.
        getExternalWorkflowHandle(sampleWorkflowId(batchId, key))
          .cancel()
          .catch(() => undefined),
      ),
    );
    await condition(() => live.size === 0, '2m');
    live.clear();
  }
}

// --- internal ---

function describe(at: {
  next: number;
  ended: number;
  paused: boolean;
  exhausted: boolean;
  live: number;
}): string {
  const state = at.exhausted ? 'budget reached' : at.paused ? 'paused' : 'running';
  return `**${state}** · ${at.live} samples under way · ${at.ended} ended since it was started`;
}
