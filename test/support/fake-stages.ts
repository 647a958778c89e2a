/** The activities of a batch as a script tells them: results of the size that real ones have, no engine, no teacher. */

import { CancelledFailure, Context } from '@temporalio/activity';
import { ROLLOUT_QUEUE, MAIN_QUEUE, NAMESPACE, sampleIndex } from '../../domain/ids.ts';
import { type NativeConnection, Worker } from '@temporalio/worker';
import type { MainActivities, RolloutActivities } from '../../activities/create-activities.ts';
import { failure, held } from '../../activities/failures.ts';
import { runStage } from '../../activities/stage.ts';
import type { Attempts } from '../../domain/store.ts';
import { isChosen, isContentVerdict, renderVerdict } from '../../domain/outcome.ts';
import type { RolloutResult, SampleEnd } from '../../domain/sample.ts';
import { trackAttempts } from '../../worker/attempts.ts';
import { rolloutSlots } from '../../worker/admission.ts';
import { toSamples } from './batch-fixture.ts';
import { FIGURES, hex, REF, SPENT, toRolloutResult } from './fake-results.ts';

export interface Script {
  checkout?: () => Promise<void> | void;
  /** Attempts at rollout 1, in order; the last one stands for those after it. */
  rollouts?: Partial<Pick<RolloutResult, 'status' | 'patch' | 'oversized'>>[];
  /** Answers of the self-check, in order. */
  checks?: ('yes' | 'no')[];
  pr?: { duplicateOf?: string; text?: null };
  /** In the middle of the first rollout 1. */
  during?: (signal: AbortSignal) => Promise<void> | void;
}

export const budgetReached = () => {
  throw held('budget', 'the batch has cost $25.00, its cap is $25');
};
export const noImage = () => {
  throw failure('ImageNotFound', 'image nowhere:1 is in no registry');
};

/** Waits until the gate is opened, or the activity is cancelled. */
export function createGate() {
  let open = () => {};
  const opened = new Promise<void>((settle) => (open = settle));
  const wait = async (signal: AbortSignal) => {
    const cancelled = new Promise<never>((_, reject) =>
      signal.addEventListener('abort', () => reject(new CancelledFailure('cancelled'))),
    );
    await Promise.race([opened, cancelled]);
  };
  return { open: () => open(), wait };
}

export function createFakeBatch(planned: number, scriptOf: (index: number) => Script) {
  const manifest = toSamples(planned).map((sample) => sample.key);
  const ends = new Map<string, SampleEnd>();
  const recorded: string[] = [];
  const checkouts: string[] = [];
  const running = new Set<string>();
  const at = { most: 0, closed: new Set<string>() };

  const main: MainActivities = {
    async loadPage({ batchId, from, count, again }) {
      const page = manifest.slice(from, from + count);
      const samples = page
        .filter((key) => {
          const end = ends.get(key);
          if (end === undefined) return true;
          return !isContentVerdict(end.verdict) && (again === undefined || isChosen(again, end));
        })
        .map((key) => ({ batchId, key, generation: 1, title: `parse in http/${key}.py` }));
      return { samples, next: from + page.length, planned };
    },
    reconcile: async ({ keys }) => keys.filter((key) => at.closed.has(key)),
    async recordEnd({ end }) {
      running.delete(end.key);
      recorded.push(end.key);
      const written: SampleEnd = { ...end, endedAt: new Date().toISOString() };
      ends.set(end.key, written);
      return written;
    },
    async selfCheck({ sampleKey, attempt }) {
      const answer = scriptOf(sampleIndex(sampleKey)).checks?.[attempt - 1] ?? 'yes';
      return { key: `self-check.${attempt}-${hex(16)}`, answer, spent: SPENT };
    },
    async loadUnverified({ batchId, from, count }) {
      const page = manifest.slice(from, from + count);
      const samples = page.map((sampleKey) => ({
        batchId,
        sampleKey,
        generation: 1,
        rollout1: 'rollout-1.1',
        rollout2: 'rollout-2.1',
      }));
      return { samples, known: 0, next: from + page.length, planned };
    },
    async synthesizePr({ sampleKey, attempt }) {
      const { pr = {} } = scriptOf(sampleIndex(sampleKey));
      return {
        key: `synthetic-pr.${attempt}-${hex(16)}`,
        duplicateOf: pr.duplicateOf ?? null,
        text: pr.text === null || pr.duplicateOf !== undefined ? null : REF,
        leak: 0.123456789,
        tries: 1,
        spent: SPENT,
      };
    },
  };

  const rollouts: RolloutActivities = {
    async checkout({ sampleKey }) {
      checkouts.push(sampleKey);
      running.add(sampleKey);
      at.most = Math.max(at.most, running.size);
      await scriptOf(sampleIndex(sampleKey)).checkout?.();
      return { key: `checkout-${hex(16)}`, imageId: REF, imageKey: hex(24) };
    },
    async rollout({ batchId, sampleKey, rollout, attempt }) {
      const script = scriptOf(sampleIndex(sampleKey));
      const activity = Context.current();
      // More often than real stages: a cancellation comes with the answer.
      const beating = setInterval(() => activity.heartbeat({ phase: 'teacher' }), 50);
      try {
        if (rollout === 1)
          await runStage('a rollout', async ({ signal }) => script.during?.(signal));
      } finally {
        clearInterval(beating);
      }
      const scripted = script.rollouts ?? [];
      const own = rollout === 1 ? scripted[Math.min(attempt, scripted.length) - 1] : undefined;
      const name = `rollout-${rollout}.${attempt}`;
      return { ...toRolloutResult(name, `${batchId}/${sampleKey}/${name}`), ...own };
    },
    verify: async () => ({
      key: `verify-${hex(16)}`,
      exact: FIGURES,
      sera: FIGURES,
      facts: REF,
      sameImage: true,
    }),
  };

  return {
    manifest,
    ends,
    /** Keys by `recordEnd`, and by `checkout`, in the order they came. */
    recorded,
    checkouts,
    running,
    at,
    main,
    rollouts,
    verdicts: () =>
      manifest.map((key) => {
        const end = ends.get(key);
        return end === undefined ? 'none' : renderVerdict(end.verdict);
      }),
  };
}

export type FakeBatch = ReturnType<typeof createFakeBatch>;

/** A worker of both queues, with slots for rollouts as the real one's; returns what ends it. */
export async function startFakeWorker(
  connection: NativeConnection,
  code: string,
  batch: Pick<FakeBatch, 'main' | 'rollouts'>,
  { slots = () => 100, attempts }: { slots?: () => number; attempts?: Attempts } = {},
): Promise<() => Promise<void>> {
  const activity = attempts === undefined ? [] : [trackAttempts(attempts, new Set())];
  const shared = {
    connection,
    namespace: NAMESPACE,
    shutdownGraceTime: '1s' as const,
    interceptors: { activity },
  };
  const workers = await Promise.all([
    Worker.create({
      ...shared,
      taskQueue: MAIN_QUEUE,
      workflowBundle: { code },
      activities: batch.main,
      stickyQueueScheduleToStartTimeout: '1s',
    }),
    Worker.create({
      ...shared,
      taskQueue: ROLLOUT_QUEUE,
      activities: batch.rollouts,
      ...rolloutSlots({ slots, shortage: () => undefined, onShortage: () => {} }),
      maxHeartbeatThrottleInterval: '200ms',
    }),
  ]);
  const ended = Promise.all(workers.map((worker) => worker.run()));
  return async () => {
    for (const worker of workers) worker.shutdown();
    await ended;
  };
}
