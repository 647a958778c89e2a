/** A teacher whose every reply is in the spend ledger before it is used, and which asks no more at the batch's cap. */

import { type Teacher, TeacherError } from '../domain/ports.ts';
import type { Store } from '../domain/store.ts';

/** Cap and sum are read anew this often: another worker may have paid, and a new run or `tune` may have raised the cap. */
const MAX_AGE_MS = 2_000;

/** Throws TeacherError{kind: 'budget'} before a call that the cap no longer allows. */
export function createBookedTeacher(teacher: Teacher, store: Store, batchId: string): Teacher {
  let known: { at: number; budget: Promise<Budget> } | undefined;

  /** One reading for all who ask at the same time. */
  function currentBudget(): Promise<Budget> {
    if (known !== undefined && performance.now() - known.at < MAX_AGE_MS) return known.budget;
    const budget = readBudget();
    known = { at: performance.now(), budget };
    budget.catch(() => (known = undefined));
    return budget;
  }

  async function readBudget(): Promise<Budget> {
    const capUsd = (await readCap(store, batchId)) ?? Number.POSITIVE_INFINITY;
    const spentUsd = Number.isFinite(capUsd) ? (await store.spend.total(batchId)).costUsd : 0;
    return { capUsd, spentUsd };
  }

  return {
    async complete(request, call, signal) {
      let current = await currentBudget();
      if (isReached(current)) {
        // Not by what it was a moment ago: whoever raises the cap starts the batch at once.
        known = undefined;
        current = await currentBudget();
      }
      if (isReached(current)) {
        throw new TeacherError(
          'budget',
          `the batch has cost $${current.spentUsd.toFixed(2)}, its cap is $${current.capUsd}`,
        );
      }
      const reply = await teacher.complete(request, call, signal);
      await store.spend.record(batchId, {
        call,
        model: reply.model,
        endpoint: reply.endpoint,
        usage: reply.usage,
        costUsd: reply.costUsd,
        durationMs: reply.durationMs,
        at: new Date().toISOString(),
      });
      if (current.spentUsd !== null && reply.costUsd !== null) current.spentUsd += reply.costUsd;
      return reply;
    },
  };
}

// --- internal ---

function isReached(budget: Budget): budget is Budget & { spentUsd: number } {
  return budget.spentUsd !== null && budget.spentUsd >= budget.capUsd;
}

async function readCap(store: Store, batchId: string): Promise<number | undefined> {
  const { maxCostUsd } = await store.tunings.read(batchId);
  return maxCostUsd ?? (await store.batches.get(batchId))?.config.budget.maxCostUsd;
}

interface Budget {
  capUsd: number;
  /** Null where a call had no known price: the cap can't be held then. */
  spentUsd: number | null;
}
