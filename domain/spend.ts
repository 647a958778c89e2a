/** What was paid: the lines of the spend ledger, and their sums. */

import type { CallId } from './ports.ts';
import { cappedCostOf } from './price.ts';
import { STAGES, type Stage } from './sample.ts';
import type { Price } from './teacher-config.ts';
import { addUsage, NO_USAGE, type Usage } from './trajectory.ts';

/** A longer pause between calls parts two times at which a batch worked; none of it counts. */
export const IDLE_MS = 10 * 60_000;

/** What a call was made for. */
export interface CallPlace {
  batch: string;
  sample: string;
  stage: Stage;
  /** At rollout 1, from 1; the later stages have the attempt that they go on from. */
  attempt: number;
  /** Of the sample; more than 1 after a `retry`. */
  generation: number;
}

/** One paid call. */
export interface SpendLine extends CallPlace {
  call: CallId;
  endpoint: string;
  model: string;
  usage: Usage;
  /** As it was then; null where none is known. */
  price: Price | null;
  /** USD; null: unpriced. */
  costUsd: number | null;
  durationMs: number;
  /** When the reply was there. */
  at: string;
}

/** Milliseconds since 1970. */
export type Span = [from: number, to: number];

export interface SpendTotal {
  calls: number;
  usage: Usage;
  /** USD of all calls but those that are unpriced. */
  costUsd: number;
  unpricedCalls: number;
  /** USD that the unpriced calls count for under a cap. */
  estimatedUsd: number;
  /** When the batch worked, oldest first. */
  worked: Span[];
}

export const NOTHING_SPENT: SpendTotal = {
  calls: 0,
  usage: NO_USAGE,
  costUsd: 0,
  unpricedCalls: 0,
  estimatedUsd: 0,
  worked: [],
};

/** What the scope of a call says. Throws Error for one that no stage makes. */
export function placeOf({ scope }: Pick<CallId, 'scope'>): CallPlace {
  const [batch = '', sample = '', name = ''] = scope.split('/');
  const [, stageName, attempt] = /^([a-z0-9-]+)\.(\d+)/.exec(name) ?? [];
  const [, generation = '1'] = /\.g(\d+)$/.exec(name) ?? [];
  const stage = STAGES.find((each) => each === stageName);
  if (stage === undefined) throw new Error(`no stage of a sample makes a call ${scope}`);
  return { batch, sample, stage, attempt: Number(attempt), generation: Number(generation) };
}

export function toTotal({ usage, price, costUsd, durationMs, at }: SpendLine): SpendTotal {
  const to = Date.parse(at);
  const isUnpriced = costUsd === null;
  return {
    calls: 1,
    usage,
    costUsd: costUsd ?? 0,
    unpricedCalls: isUnpriced ? 1 : 0,
    estimatedUsd: isUnpriced ? cappedCostOf({ usage, price, costUsd }) : 0,
    worked: [[to - durationMs, to]],
  };
}

export function addTotals(a: SpendTotal, b: SpendTotal): SpendTotal {
  return {
    calls: a.calls + b.calls,
    usage: addUsage(a.usage, b.usage),
    costUsd: a.costUsd + b.costUsd,
    unpricedCalls: a.unpricedCalls + b.unpricedCalls,
    estimatedUsd: a.estimatedUsd + b.estimatedUsd,
    worked: joinSpans([...a.worked, ...b.worked]),
  };
}

/** USD; null where no call has a known cost. */
export function knownCost({
  calls,
  unpricedCalls,
  costUsd,
}: Pick<SpendTotal, 'calls' | 'unpricedCalls' | 'costUsd'>): number | null {
  return calls > 0 && calls === unpricedCalls ? null : costUsd;
}

/** How long the batch has worked, pauses left out, in hours. */
export function hoursWorked({ worked }: SpendTotal, nowMs: number): number {
  const last = worked.at(-1)?.[1] ?? nowMs;
  const sinceMs = nowMs - last < IDLE_MS ? Math.max(0, nowMs - last) : 0;
  return worked.reduce((sum, [from, to]) => sum + (to - from), sinceMs) / 3_600_000;
}

// --- internal ---

function joinSpans(spans: Span[]): Span[] {
  const joined: Span[] = [];
  for (const [from, to] of spans.sort(([a], [b]) => a - b)) {
    const last = joined.at(-1);
    if (last !== undefined && from - last[1] < IDLE_MS) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  return joined;
}
