/** Where the money of batches went: by stage, and what of it gives no row, by its reason. */

import { renderVerdict } from './outcome.ts';
import type { SampleEnd, Stage } from './sample.ts';
import { type SpendLine, type SpendTotal, toTotal } from './spend.ts';
import { addUsage, NO_USAGE } from './trajectory.ts';

/** What some of the calls took. */
export interface SpendPart extends Pick<
  SpendTotal,
  'calls' | 'unpricedCalls' | 'usage' | 'costUsd'
> {
  /** Of all calls together, as if one had been made after the other. */
  seconds: number;
}

export interface SpendSummary {
  all: SpendPart;
  /** In the order in which a sample goes through them; those without calls are left out. */
  stages: Map<Stage, SpendPart>;
  /** For what gives rows: rollouts 1 that the self-check accepted, rollouts 2 of enough recall. */
  useful: SpendPart;
  /** For samples that have no final verdict yet. */
  underWay: SpendPart;
  /** By reason, the dearest first. */
  wasted: Map<string, SpendPart>;
}

/** How a sample ended, as far as it says what its calls were good for. */
export interface EndOfSpend extends Pick<
  SampleEnd,
  'key' | 'generation' | 'verdict' | 'recall' | 'attempt'
> {
  batch: string;
}

/**
 * Adds up every line, in any order; rollouts 2 with an exact recall of less than `minRecall` count as wasted. Keeps some bytes for each
 * rollout in memory.
 */
export async function summarizeSpend(
  lines: AsyncIterable<SpendLine> | Iterable<SpendLine>,
  ends: Iterable<EndOfSpend>,
  minRecall: number,
): Promise<SpendSummary> {
  const endOf = new Map([...ends].map((end) => [`${end.batch}/${end.key}`, end]));
  const all = nothing();
  const stages = new Map<Stage, SpendPart>();
  const fates = new Map<string, SpendPart>();
  const isRepeated = createRepeats();
  for await (const line of lines) {
    const fate = isRepeated(line)
      ? 'bought again'
      : fateOf(line, endOf.get(`${line.batch}/${line.sample}`), minRecall);
    for (const part of [all, partOf(stages, line.stage), partOf(fates, fate)]) add(part, line);
  }
  const useful = fates.get(USEFUL) ?? nothing();
  const underWay = fates.get(UNDER_WAY) ?? nothing();
  fates.delete(USEFUL);
  fates.delete(UNDER_WAY);
  const inOrder = STAGE_ORDER.flatMap((stage) => {
    const part = stages.get(stage);
    return part === undefined ? [] : [[stage, part] as const];
  });
  const byCost = [...fates].sort(([, a], [, b]) => weightOf(b) - weightOf(a));
  return { all, stages: new Map(inOrder), useful, underWay, wasted: new Map(byCost) };
}

// --- internal ---

const STAGE_ORDER: Stage[] = ['rollout-1', 'self-check', 'synthetic-pr', 'rollout-2'];
const USEFUL = 'useful';
const UNDER_WAY = 'under way';

function nothing(): SpendPart {
  return { calls: 0, unpricedCalls: 0, usage: NO_USAGE, costUsd: 0, seconds: 0 };
}

function partOf<K>(parts: Map<K, SpendPart>, key: K): SpendPart {
  const part = parts.get(key) ?? nothing();
  parts.set(key, part);
  return part;
}

function add(part: SpendPart, line: SpendLine): void {
  const { calls, unpricedCalls, usage, costUsd } = toTotal(line);
  part.calls += calls;
  part.unpricedCalls += unpricedCalls;
  part.usage = addUsage(part.usage, usage);
  part.costUsd += costUsd;
  part.seconds += line.durationMs / 1000;
}

/** Of unpriced calls tokens are all that is known. */
function weightOf({ costUsd, usage }: SpendPart): number {
  return costUsd * 1e9 + usage.inputTokens + usage.outputTokens;
}

/** What a call was good for: a reason of waste, or one of the two words above. */
function fateOf(line: SpendLine, end: EndOfSpend | undefined, minRecall: number): string {
  if (end === undefined || end.verdict.kind === 'held') return UNDER_WAY;
  if (line.generation < end.generation) return 'replaced by a retry';
  if (line.generation > end.generation) return UNDER_WAY;
  if (end.verdict.kind !== 'verified') return renderVerdict(end.verdict);
  if (end.attempt !== undefined && line.attempt < end.attempt) return 'rejected attempt';
  const isForRollout2 = line.stage === 'rollout-2' || line.stage === 'synthetic-pr';
  const isLow = (end.recall?.exact ?? -1) < minRecall;
  return isForRollout2 && isLow ? `recall < ${minRecall}` : USEFUL;
}

/** Tells whether a step of a rollout or stage has been paid before: a kill, or a lost container, had it bought again. */
function createRepeats(): (line: SpendLine) => boolean {
  /** By scope, a bit for each step. */
  const paid = new Map<string, bigint>();
  return ({ call: { scope, step } }) => {
    const before = paid.get(scope) ?? 0n;
    const bit = 1n << BigInt(step);
    paid.set(scope, before | bit);
    return (before & bit) !== 0n;
  };
}
