/** What of the limits of a batch's endpoints this worker may use: read anew for as long as it asks. */

import type { Teacher } from '../domain/ports.ts';
import type { Share, Shares } from '../domain/store.ts';

/** Workers that begin at the same time share this soon. */
const TAKE_EVERY_MS = 5_000;

export interface OwnShare {
  now(): Share;
  /** Takes a share before the first call, and keeps it while calls are under way. */
  keptBy(teacher: Teacher): Teacher;
  stop(): void;
}

/** Where the store can't be asked just now, what it said last holds. */
export function createShare(shares: Shares, batchId: string): OwnShare {
  let share: Share = { index: 0, of: 1 };
  let callsUnderWay = 0;
  let hasAsked = false;
  let taking: Promise<void> | undefined;

  async function take(): Promise<void> {
    share = await shares.take(batchId).catch(() => share);
  }

  const timer = setInterval(() => {
    if (callsUnderWay === 0 && !hasAsked) taking = undefined;
    else taking = take();
    hasAsked = false;
  }, TAKE_EVERY_MS).unref();

  return {
    now: () => share,
    keptBy: (teacher) => ({
      async complete(request, call, signal) {
        callsUnderWay += 1;
        hasAsked = true;
        try {
          await (taking ??= take());
          return await teacher.complete(request, call, signal);
        } finally {
          callsUnderWay -= 1;
        }
      },
    }),
    stop: () => clearInterval(timer),
  };
}
