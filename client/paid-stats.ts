/** Where the money of batches went, as statistics tell it. */

import { knownCost } from '../domain/spend.ts';
import { type EndOfSpend, type SpendPart, summarizeSpend } from '../domain/spend-summary.ts';
import type { SpendLine } from '../domain/spend.ts';
import type { BatchRecord, Store } from '../domain/store.ts';

export interface PaidPart {
  calls: number;
  unpricedCalls: number;
  inputTokens: number;
  cachedInputTokens: number;
  outputTokens: number;
  /** USD; null where nothing of it is priced. */
  costUsd: number | null;
  /** Of all its calls, one after the other. */
  seconds: number;
}

export interface PaidStats {
  /** By stage, in the order in which a sample goes through them. */
  stages: Record<string, PaidPart>;
  /** For what gives rows. */
  useful: PaidPart;
  /** For samples without a final verdict. */
  underWay: PaidPart;
  /** By reason, the dearest first. */
  wasted: Record<string, PaidPart>;
}

/** Reads every line of the spend ledger; rollouts 2 of less recall than `minRecall` are wasted. */
export async function readPaid(
  store: Store,
  batches: BatchRecord[],
  minRecall: number,
): Promise<PaidStats> {
  const ends: EndOfSpend[] = [];
  for (const { id } of batches) {
    for await (const { key, generation, verdict, recall, attempt } of store.ends.stream(id)) {
      ends.push({
        batch: id,
        key,
        generation,
        verdict,
        ...(recall && { recall }),
        ...(attempt !== undefined && { attempt }),
      });
    }
  }
  const { stages, useful, underWay, wasted } = await summarizeSpend(
    linesOf(store, batches),
    ends,
    minRecall,
  );
  const toParts = (parts: Map<string, SpendPart>) =>
    Object.fromEntries([...parts].map(([name, part]) => [name, toPaidPart(part)]));
  return {
    stages: toParts(stages),
    useful: toPaidPart(useful),
    underWay: toPaidPart(underWay),
    wasted: toParts(wasted),
  };
}

// --- internal ---

async function* linesOf(store: Store, batches: BatchRecord[]): AsyncGenerator<SpendLine> {
  for (const { id } of batches) yield* store.spend.lines(id);
}

function toPaidPart(part: SpendPart): PaidPart {
  const { calls, unpricedCalls, usage, seconds } = part;
  return {
    calls,
    unpricedCalls,
    inputTokens: usage.inputTokens,
    cachedInputTokens: usage.cachedInputTokens,
    outputTokens: usage.outputTokens,
    costUsd: knownCost(part),
    seconds,
  };
}
