/** How a batch stands now: counts and cost from the store, what runs and what it waits for from the server. */

import { type Client, ServiceError, type WorkflowHandle } from '@temporalio/client';
import {
  defaultPayloadConverter,
  defineSearchAttributeKey,
  WorkflowNotFoundError,
} from '@temporalio/common';
import { batchWorkflowId, sampleWorkflowId } from '../domain/ids.ts';
import { type CapName, capsOf, reachedCap } from '../domain/budget.ts';
import { hasPrices } from '../domain/price.ts';
import type { Waiting } from '../domain/sample.ts';
import { hoursWorked, knownCost, type SpendTotal } from '../domain/spend.ts';
import type { BatchRecord, EndpointPulse, Store, Tuning } from '../domain/store.ts';
import { type BatchProgress, progressQuery } from '../workflows/messages.ts';
import { project, type Projection } from './projection.ts';
import { readYield, type Yield } from './yield.ts';

/** Samples asked for what they wait for: enough to see the cause. */
const ASKED_SAMPLES = 16;
/** A worker answers a query in milliseconds; what is slower than this has none, or one that is stuck. */
const QUERY_TIMEOUT_MS = 5_000;

const STAGE = defineSearchAttributeKey('TwinpatchStage', 'KEYWORD');

export type BatchPhase =
  | 'finished'
  | 'running'
  | 'no worker'
  | 'paused'
  | 'draining'
  | 'budget reached'
  | 'stopped'
  | 'unknown';

export interface BatchState extends Yield {
  batch: string;
  repository: string;
  simulated: boolean;
  /** What `tune` has set: null where it has not. */
  tuned: { [Name in keyof Required<Tuning>]: number | null };
  /** The caps in force, null where there is none, and the one that is reached. */
  budget: {
    maxCostUsd: number | null;
    maxTokens: number | null;
    maxHours: number | null;
    reached: CapName | null;
  };
  /** `unknown` where no server answers. */
  phase: BatchPhase;
  /** Samples under way. */
  live: number;
  /** Samples under way by the stage they are in. */
  stages: Record<string, number>;
  /** What samples wait for, with how many of those asked do, and when the first of them is tried again (ISO 8601), where that is known. */
  waiting: { reason: string; samples: number; nextTryAt: string | null }[];
  spent: {
    calls: number;
    /** Those whose cost is in no sum. */
    unpricedCalls: number;
    inputTokens: number;
    cachedInputTokens: number;
    outputTokens: number;
    reasoningTokens: number;
    costUsd: number | null;
    hours: number;
  };
  projected: Projection;
  /** What is done at each endpoint just now, by all workers. */
  endpoints: EndpointPulse[];
}

/** Without a client, what the store knows. */
export async function readBatchState(
  store: Store,
  batch: BatchRecord,
  client: Client | undefined,
): Promise<BatchState> {
  const [yielded, total, tuning, endpoints, progress] = await Promise.all([
    readYield(store, batch.id),
    store.spend.total(batch.id),
    store.tunings.read(batch.id),
    store.pulses.now(batch.id),
    client && readProgress(client, batch.id),
  ]);
  const live = typeof progress === 'object' ? progress.live : [];
  const spent = spentOf(batch, total);
  return {
    batch: batch.id,
    repository: batch.repository,
    simulated: batch.simulated,
    tuned: { ...NOTHING_TUNED, ...tuning },
    budget: budgetOf(batch, tuning, total),
    phase: isFinished(yielded)
      ? 'finished'
      : client === undefined
        ? 'unknown'
        : phaseOf(progress, yielded),
    ...yielded,
    live: live.length,
    stages:
      client === undefined || progress === undefined ? {} : await countStages(client, batch.id),
    waiting: client === undefined ? [] : await readWaiting(client, batch.id, live),
    spent,
    projected: project({ ...yielded, live: live.length }, spent),
    endpoints,
  };
}

/** Every sample has a content verdict: there is nothing left to do. */
export function isFinished({ unfinished, held, infrastructure }: Yield): boolean {
  return unfinished + held + infrastructure === 0;
}

// --- internal ---

const NOTHING_TUNED = {
  window: null,
  maxCostUsd: null,
  maxTokens: null,
  maxHours: null,
  slots: null,
};

function budgetOf(
  { config }: BatchRecord,
  tuning: Tuning,
  total: SpendTotal,
): BatchState['budget'] {
  const caps = capsOf(config.budget, tuning);
  const known = (cap: number) => (cap === Infinity ? null : cap);
  return {
    maxCostUsd: known(caps.costUsd),
    maxTokens: known(caps.tokens),
    maxHours: known(caps.hours),
    reached: reachedCap(caps, total, Date.now()) ?? null,
  };
}

function spentOf({ config }: BatchRecord, total: SpendTotal): BatchState['spent'] {
  const { calls, unpricedCalls, usage } = total;
  const isUnpriced = calls === 0 && !hasPrices(config.teacher);
  return {
    calls,
    unpricedCalls,
    inputTokens: usage.inputTokens,
    cachedInputTokens: usage.cachedInputTokens,
    outputTokens: usage.outputTokens,
    reasoningTokens: usage.reasoningTokens,
    costUsd: isUnpriced ? null : knownCost(total),
    hours: hoursWorked(total, Date.now()),
  };
}

type Progress = BatchProgress | 'no worker';

/** Undefined when the batch does not run. */
async function readProgress(client: Client, batchId: string): Promise<Progress | undefined> {
  const handle = client.workflow.getHandle(batchWorkflowId(batchId));
  try {
    const { status } = await handle.describe();
    if (status.name !== 'RUNNING') return undefined;
    return await client.withDeadline(Date.now() + QUERY_TIMEOUT_MS, () =>
      handle.query(progressQuery),
    );
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    if (isUnanswered(error)) return 'no worker';
    throw error;
  }
}

/** google.rpc.Code of a query that no worker took: CANCELLED or DEADLINE_EXCEEDED by our deadline, FAILED_PRECONDITION once the
 * server has seen none for minutes. */
const UNANSWERED = [1, 4, 9];

function isUnanswered(error: unknown): boolean {
  if (!(error instanceof ServiceError)) return false;
  const { cause } = error;
  return cause instanceof Error && 'code' in cause && UNANSWERED.includes(Number(cause.code));
}

function phaseOf(progress: Progress | undefined, { verdicts }: Yield): BatchPhase {
  if (progress === undefined) {
    return verdicts['held:budget'] === undefined ? 'stopped' : 'budget reached';
  }
  if (progress === 'no worker') return progress;
  if (progress.exhausted) return 'budget reached';
  if (progress.draining) return 'draining';
  return progress.paused ? 'paused' : 'running';
}

/** Samples under way by stage, as their workflows show it. */
async function countStages(client: Client, batchId: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const query = `TwinpatchBatch='${batchId}' AND WorkflowType='sampleWorkflow' AND ExecutionStatus='Running'`;
  for await (const { typedSearchAttributes } of client.workflow.list({ query })) {
    const stage = typedSearchAttributes.get(STAGE);
    if (stage !== undefined) counts[stage] = (counts[stage] ?? 0) + 1;
  }
  return counts;
}

async function readWaiting(
  client: Client,
  batchId: string,
  live: string[],
): Promise<BatchState['waiting']> {
  const waits = new Map<string, BatchState['waiting'][number]>();
  await Promise.all(
    live.slice(0, ASKED_SAMPLES).map(async (key) => {
      const described = await client.workflow
        .getHandle(sampleWorkflowId(batchId, key))
        .describe()
        .catch(() => undefined);
      for (const activity of described?.raw.pendingActivities ?? []) {
        const wait = waitOf(activity);
        if (wait === undefined) continue;
        const { reason, nextTryAt = null } = wait;
        const known = waits.get(reason) ?? { reason, samples: 0, nextTryAt };
        waits.set(reason, {
          reason,
          samples: known.samples + 1,
          nextTryAt: [known.nextTryAt, nextTryAt].filter((at) => at !== null).sort()[0] ?? null,
        });
      }
    }),
  );
  return [...waits.values()];
}

type Pending = NonNullable<
  Awaited<ReturnType<WorkflowHandle['describe']>>['raw']['pendingActivities']
>[number];

/** temporal.api.enums.v1.PendingActivityState: between two attempts. */
const SCHEDULED = 1;

/** Of an attempt that runs what it says itself; between two attempts why the last one ended. */
function waitOf({ state, heartbeatDetails, lastFailure, ...next }: Pending): Waiting | undefined {
  if (Number(state) === SCHEDULED) {
    const { nextAttemptScheduleTime: at } = next;
    const reason = lastFailure?.message;
    if (!reason) return undefined;
    return { reason, ...(at && { nextTryAt: new Date(Number(at.seconds) * 1000).toISOString() }) };
  }
  const [beat] = heartbeatDetails?.payloads ?? [];
  return beat && defaultPayloadConverter.fromPayload<{ waiting?: Waiting }>(beat).waiting;
}
