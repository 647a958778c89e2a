/** One sample: checkout → rollout 1 with self-check, up to three times → synthetic PR → rollout 2 → verify. */

import {
  ActivityCancellationType,
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  getExternalWorkflowHandle,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { MainActivities, RolloutActivities } from '../activities/create-activities.ts';
import { ROLLOUT_QUEUE } from '../domain/ids.ts';
import {
  FAILURES,
  type FailureType,
  type HeldClass,
  renderVerdict,
  type UnverifiableReason,
  type Verdict,
} from '../domain/outcome.ts';
import type { SampleEnd, Spent, Stage } from '../domain/sample.ts';
import { addCost, addUsage, NO_USAGE } from '../domain/trajectory.ts';
import { COST_USD, FAILURE, OUTCOME, RECALL, STAGE, TOKENS } from './attributes.ts';
import { type SampleInput, type SampleReport, sampleEndedSignal } from './messages.ts';

const ATTEMPTS = 3;

// Attempts are unlimited: kills, drains and outages cost nothing, and progress bounds the rest.
const retry = { initialInterval: '1s', maximumInterval: '30s' } as const;

const { recordEnd } = proxyActivities<MainActivities>({
  startToCloseTimeout: '2m',
  heartbeatTimeout: '20s',
  retry,
});
const { selfCheck, synthesizePr } = proxyActivities<MainActivities>({
  startToCloseTimeout: '15m',
  heartbeatTimeout: '1m',
  retry,
});
const onEngine = {
  taskQueue: ROLLOUT_QUEUE,
  heartbeatTimeout: '1m',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry,
} as const;
const { checkout } = proxyActivities<RolloutActivities>({
  ...onEngine,
  startToCloseTimeout: '15m',
});
const { rollout } = proxyActivities<RolloutActivities>({ ...onEngine, startToCloseTimeout: '2h' });
const { verify } = proxyActivities<RolloutActivities>({ ...onEngine, startToCloseTimeout: '30m' });

/** What is known of a sample while it runs; all of it goes into its end. */
interface Course {
  results: Partial<Record<Stage, string>>;
  spent: Spent;
  wasted: Spent;
  attempt?: number;
  recall?: { exact: number | null; sera: number | null };
}

/** Returns the verdict; fails with its type for permanent infrastructure trouble, so that the UI shows it. */
export async function sampleWorkflow(input: SampleInput): Promise<string> {
  const course: Course = {
    results: {},

    spent: { usage: NO_USAGE, costUsd: 0 },
    wasted: { usage: NO_USAGE, costUsd: 0 },
  };
  const report: SampleReport = { key: input.key };
  try {
    const { verdict, detail } = await runStages(input, course).catch(toEnd);
    if (verdict.kind === 'held') report.held = verdict.class;
    const end = await recordEnd({
      batchId: input.batchId,
      end: toSampleEnd(input, course, verdict, detail),
    });
    show(end);
    if (verdict.kind === 'infrastructure') {
      throw ApplicationFailure.nonRetryable(detail ?? renderVerdict(verdict), verdict.class);
    }
    return renderVerdict(end.verdict);
  } finally {
    await CancellationScope.nonCancellable(() => reportToBatch(report));
  }
}

// --- internal ---

interface Ended {
  verdict: Verdict;
  detail?: string;
}

async function runStages(input: SampleInput, course: Course): Promise<Ended> {
  const { batchId, key: sampleKey, generation } = input;
  const of = { batchId, sampleKey, generation };

  const { imageId, key: checkoutKey } = await checkout(of);
  course.results.checkout = checkoutKey;

  let rejected: UnverifiableReason = 'self-check';
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    enter('rollout-1', course, attempt > 1 ? `attempt ${attempt}` : undefined);
    const first = await rollout({ ...of, rollout: 1, attempt, imageId });
    book(course, first);
    course.results['rollout-1'] = first.key;
    course.attempt = attempt;
    const flaw = flawOf(first);
    if (flaw !== undefined) {
      rejected = flaw;
      continue;
    }

    enter('self-check', course);
    const check = await selfCheck({ ...of, attempt, rollout1: first.key });
    book(course, check);
    course.results['self-check'] = check.key;
    if (check.answer === 'yes') return verifyAttempt(input, course, imageId, attempt, first.key);
    rejected = 'self-check';
  }
  return { verdict: { kind: 'unverifiable', reason: rejected } };
}

async function verifyAttempt(
  { batchId, key: sampleKey, generation }: SampleInput,
  course: Course,
  imageId: string,
  attempt: number,
  rollout1: string,
): Promise<Ended> {
  const of = { batchId, sampleKey, generation };

  enter('synthetic-pr', course);
  const pr = await synthesizePr({ ...of, attempt, rollout1 });
  book(course, pr);
  if (pr.duplicateOf !== null) {
    return {
      verdict: { kind: 'unverifiable', reason: 'duplicate' },
      detail: `the same patch as ${pr.duplicateOf}`,
    };
  }
  course.results['synthetic-pr'] = pr.key;
  if (pr.text === null) return { verdict: { kind: 'unverifiable', reason: 'no-pr' } };

  enter('rollout-2', course);
  const second = await rollout({ ...of, rollout: 2, attempt, imageId, pr: pr.key });
  book(course, second);
  course.results['rollout-2'] = second.key;

  enter('verify', course);
  const verified = await verify({ ...of, rollout1, rollout2: second.key, pr: pr.key });
  course.results.verify = verified.key;
  course.recall = { exact: verified.exact.recall, sera: verified.sera.recall };
  return { verdict: { kind: 'verified' } };
}

/** Why a rollout 1 has no target patch worth checking. */
function flawOf(result: Awaited<ReturnType<typeof rollout>>): UnverifiableReason | undefined {
  if (result.status !== 'submitted') return result.status;
  if (result.oversized !== undefined) return 'oversized-patch';
  if (result.patch === null) return 'empty-patch';
  return result.patch.countedLines === 0 ? 'uncountable-patch' : undefined;
}

/** A held sample and permanent infrastructure trouble are ends; cancellation and bugs are not. */
function toEnd(error: unknown): Ended {
  if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
  const { cause } = error;
  if (!(cause instanceof ApplicationFailure)) throw error;
  const detail = cause.message;
  if (cause.type === 'Held') {
    return { verdict: { kind: 'held', class: cause.details?.[0] as HeldClass }, detail };
  }
  if (cause.type !== null && cause.type !== undefined && cause.type in FAILURES) {
    return { verdict: { kind: 'infrastructure', class: cause.type as FailureType }, detail };
  }
  throw error;
}

function toSampleEnd(
  { key, generation }: SampleInput,
  { results, spent, wasted, attempt, recall }: Course,
  verdict: Verdict,
  detail: string | undefined,
): Omit<SampleEnd, 'endedAt'> {
  return {
    key,
    generation,
    verdict,
    results,
    spent,
    wasted,
    ...(detail !== undefined && { detail }),
    ...(attempt !== undefined && { attempt }),
    ...(recall !== undefined && { recall }),
  };
}

function book(course: Course, { spent, wasted }: { spent: Spent; wasted?: Spent }): void {
  course.spent = addSpent(course.spent, spent);
  if (wasted !== undefined) course.wasted = addSpent(course.wasted, wasted);
}

function addSpent(a: Spent, b: Spent): Spent {
  return { usage: addUsage(a.usage, b.usage), costUsd: addCost(a.costUsd, b.costUsd) };
}

/** Shows a new stage: as search attribute, and in words. */
function enter(stage: Stage, course: Course, note?: string): void {
  upsertSearchAttributes([{ key: STAGE, value: stage }]);
  setCurrentDetails(
    [`**${stage}**${note === undefined ? '' : ` (${note})`}`, ...factsOf(course)].join('\n\n'),
  );
}

function factsOf({ results, spent }: Course): string[] {
  const done = Object.keys(results);
  return done.length === 0 ? [] : [`done: ${done.join(', ')}`, costOf(spent)];
}

function costOf({ usage, costUsd }: Spent): string {
  const price = !costUsd ? 'unpriced' : `$${costUsd.toFixed(4)}`;
  return `${usage.inputTokens + usage.outputTokens} tokens, ${price}`;
}

function show({ verdict, recall, spent, detail }: SampleEnd): void {
  const tokens = spent.usage.inputTokens + spent.usage.outputTokens;
  upsertSearchAttributes([
    { key: STAGE, value: 'ended' },
    { key: OUTCOME, value: renderVerdict(verdict) },
    { key: TOKENS, value: tokens },
    ...(spent.costUsd === null ? [] : [{ key: COST_USD, value: spent.costUsd }]),
    ...(typeof recall?.exact === 'number' ? [{ key: RECALL, value: recall.exact }] : []),
    ...(verdict.kind === 'infrastructure' ? [{ key: FAILURE, value: verdict.class }] : []),
  ]);
  const score = recall === undefined ? '' : `, recall ${recall.exact?.toFixed(2) ?? 'undefined'}`;
  setCurrentDetails(
    [
      `**${renderVerdict(verdict)}**${score}`,
      ...(detail === undefined ? [] : [detail]),
      costOf(spent),
    ].join('\n\n'),
  );
}

async function reportToBatch(report: SampleReport): Promise<void> {
  const parent = workflowInfo().parent?.workflowId;
  if (parent === undefined) return;
  try {
    // By workflow id alone, so that the batch's latest run gets it.
    await getExternalWorkflowHandle(parent).signal(sampleEndedSignal, report);
  } catch {
    // The batch has ended or was terminated: its next run asks the store.
  }
}
