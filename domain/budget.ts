/**
 * The caps of a batch, over everything that was ever paid for it. Several workers keep them together without a coordinator: each
 * reserves a small part of what is left before it spends it, so that all of them pass a cap by no more than the calls under way.
 */

import type { BatchConfig } from './config.ts';
import { hoursWorked, type SpendTotal } from './spend.ts';

/** Infinity where there is none. */
export interface Caps {
  costUsd: number;
  /** Input and output together. */
  tokens: number;
  hours: number;
}

export type CapName = keyof Caps;

/** What calls use up and reserve; time goes by for all workers alike. */
export type Amount = Pick<Caps, 'costUsd' | 'tokens'>;

/** What a worker has reserved. */
export interface Claim {
  /** All that it may have spent in the batch, from the beginning on. */
  upTo: Amount;
  /** How long others leave it alone; milliseconds since 1970. */
  untilMs: number;
}

/** A claim is renewed at the latest after this, and respected for as long again. */
export const CLAIM_MS = 60_000;

/** The caps in force: what was tuned, else what the batch was started with. */
export function capsOf(
  config: BatchConfig['budget'],
  tuned: { [Name in keyof BatchConfig['budget']]?: number | null | undefined } = {},
): Caps {
  return {
    costUsd: tuned.maxCostUsd ?? config.maxCostUsd ?? Infinity,
    tokens: tuned.maxTokens ?? config.maxTokens ?? Infinity,
    hours: tuned.maxHours ?? config.maxHours ?? Infinity,
  };
}

export function amountOf({ costUsd, estimatedUsd, usage }: SpendTotal): Amount {
  return { costUsd: costUsd + estimatedUsd, tokens: usage.inputTokens + usage.outputTokens };
}

/** The first cap that is reached. */
export function reachedCap(caps: Caps, total: SpendTotal, nowMs: number): CapName | undefined {
  const { costUsd, tokens } = amountOf(total);
  if (costUsd >= caps.costUsd) return 'costUsd';
  if (tokens >= caps.tokens) return 'tokens';
  return hoursWorked(total, nowMs) >= caps.hours ? 'hours' : undefined;
}

/** `has cost $25.01, its cap is $25`. */
export function describeReached(
  cap: CapName,
  caps: Caps,
  total: SpendTotal,
  nowMs: number,
): string {
  const { costUsd, tokens } = amountOf(total);
  switch (cap) {
    case 'costUsd':
      return `has cost $${costUsd.toFixed(2)}, its cap is $${caps.costUsd}`;
    case 'tokens':
      return `has used ${tokens} tokens, its cap is ${caps.tokens}`;
    case 'hours':
      return `has worked ${hoursWorked(total, nowMs).toFixed(2)} hours, its cap is ${caps.hours}`;
  }
}

/** Whether a worker that has spent `own` may go on by its claim. */
export function isCovered(caps: Caps, own: Amount, upTo: Amount): boolean {
  return AMOUNTS.every((name) => caps[name] === Infinity || own[name] < upTo[name]);
}

/**
 * What a worker may claim: `wish` beyond what it has spent, less where little is left; undefined while all that is left is claimed by
 * others. `spent` and `claims` are of every worker.
 */
export function claimOf({
  caps,
  worker,
  wish,
  spent,
  claims,
  nowMs,
}: {
  caps: Caps;
  worker: string;
  wish: Amount;
  spent: ReadonlyMap<string, Amount>;
  claims: ReadonlyMap<string, Claim>;
  nowMs: number;
}): Claim | undefined {
  const upTo: Amount = { costUsd: 0, tokens: 0 };
  for (const name of AMOUNTS) {
    const own = spent.get(worker)?.[name] ?? 0;
    let left = caps[name] - own;
    for (const other of new Set([...spent.keys(), ...claims.keys()])) {
      if (other === worker) continue;
      const claim = claims.get(other);
      const claimed = claim !== undefined && claim.untilMs > nowMs ? claim.upTo[name] : 0;
      left -= Math.max(spent.get(other)?.[name] ?? 0, claimed);
    }
    if (left <= 0) return undefined;
    upTo[name] = own + sliceOf(left, wish[name], caps[name]);
  }
  return { upTo, untilMs: nowMs + 2 * CLAIM_MS };
}

/** What a worker wishes that does not know yet how fast it spends. */
export function firstWish({ costUsd, tokens }: Caps): Amount {
  const part = (cap: number) => (cap === Infinity ? 0 : cap * FIRST_SHARE);
  return { costUsd: part(costUsd), tokens: part(tokens) };
}

// --- internal ---

const AMOUNTS = ['costUsd', 'tokens'] as const;
const FIRST_SHARE = 1 / 50;
/** The store would be asked more and more often for less and less. */
const LEAST_SHARE = 1 / 500;

function sliceOf(left: number, wish: number, cap: number): number {
  if (cap === Infinity) return wish;
  return Math.min(left, Math.max(cap * LEAST_SHARE, Math.min(wish, left / 2)));
}
