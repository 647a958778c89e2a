/** Keeps a batch's caps in this worker: no call goes out beyond them, nor beyond what this worker has reserved of them. */

import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Amount,
  amountOf,
  type Caps,
  capsOf,
  CLAIM_MS,
  describeReached,
  firstWish,
  isCovered,
  reachedCap,
} from '../domain/budget.ts';
import { TeacherError } from '../domain/ports.ts';
import type { Store } from '../domain/store.ts';

/** Caps and sum are read anew this often: another worker may have paid, and a new run or `tune` may have raised a cap. */
const MAX_AGE_MS = 2_000;
/** What others have reserved is spent, or free again, after a while. */
const LOOK_AGAIN_MS = 1_000;
const RESERVED =
  'What is left of the budget is reserved by other workers: within two minutes it is spent, or free again.';

export interface Budget {
  /**
   * Resolves when another call may go out. Throws TeacherError{kind: 'budget'} at a cap. `onWait` is told what it waits for, and,
   * with null, that it does no more.
   */
  admit(signal: AbortSignal, onWait?: (reason: string | null) => void): Promise<void>;
}

export function createBudget(store: Store, batchId: string): Budget {
  let known: { at: number; standing: Promise<Standing> } | undefined;
  let claimed: { at: number; own: Amount; upTo: Amount } | undefined;
  let claiming: Promise<void> | undefined;
  const own = () => amountOf(store.spend.own(batchId));

  /** One reading for all who ask at the same time. */
  function standing(): Promise<Standing> {
    if (known !== undefined && performance.now() - known.at < MAX_AGE_MS) return known.standing;
    const standing = readStanding(store, batchId);
    known = { at: performance.now(), standing };
    standing.catch(() => (known = undefined));
    return standing;
  }

  function isCoveredNow(caps: Caps): boolean {
    const isValid = claimed !== undefined && performance.now() - claimed.at < CLAIM_MS;
    return isCovered(caps, own(), isValid && claimed !== undefined ? claimed.upTo : NOTHING);
  }

  async function claim(caps: Caps): Promise<void> {
    const [at, spent] = [performance.now(), own()];
    // A claim that is renewed each minute should hold for about two.
    const wish = claimed === undefined ? firstWish(caps) : twice(spent, claimed.own);
    const made = await store.claims.claim(batchId, caps, wish);
    if (made !== undefined) claimed = { at, own: spent, upTo: made.upTo };
  }

  async function isReserved(caps: Caps): Promise<boolean> {
    if (isCoveredNow(caps)) return true;
    claiming ??= claim(caps).finally(() => (claiming = undefined));
    await claiming;
    return isCoveredNow(caps);
  }

  return {
    async admit(signal, onWait = () => {}) {
      let { caps, reached } = await standing();
      while (reached !== undefined || !(await isReserved(caps))) {
        const isLeft = reached === undefined;
        // Not by what it was a moment ago: whoever raises a cap starts the batch at once.
        known = undefined;
        ({ caps, reached } = await standing());
        if (reached !== undefined) throw new TeacherError('budget', reached);
        if (!isLeft) continue;
        onWait(RESERVED);
        await sleep(LOOK_AGAIN_MS, undefined, { signal }).catch(() => undefined);
        onWait(null);
        signal.throwIfAborted();
      }
    },
  };
}

// --- internal ---

interface Standing {
  caps: Caps;
  /** In words. */
  reached: string | undefined;
}

const NOTHING: Amount = { costUsd: 0, tokens: 0 };

async function readStanding(store: Store, batchId: string): Promise<Standing> {
  const [batch, tuning] = await Promise.all([
    store.batches.get(batchId),
    store.tunings.read(batchId),
  ]);
  const caps = capsOf(batch?.config.budget ?? {}, tuning);
  if (Object.values(caps).every((cap) => cap === Infinity)) return { caps, reached: undefined };
  const total = await store.spend.total(batchId);
  const nowMs = Date.now();
  const cap = reachedCap(caps, total, nowMs);
  return { caps, reached: cap && `the batch ${describeReached(cap, caps, total, nowMs)}` };
}

function twice(now: Amount, before: Amount): Amount {
  return {
    costUsd: 2 * (now.costUsd - before.costUsd),
    tokens: 2 * (now.tokens - before.tokens),
  };
}
