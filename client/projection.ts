/** What a batch will have taken at its end, from what it has taken so far. */

import type { Yield } from './yield.ts';

export interface Projection {
  /** USD in all; null where nothing has ended yet, or nothing is priced. */
  costUsd: number | null;
  /** Of work that is left, at the pace so far. */
  hoursLeft: number | null;
  /** USD spent so far by each accepted sample so far. */
  perAcceptedUsd: number | null;
}

/** Samples under way, and those that are held, count as half done. */
export function project(
  { planned, unfinished, held, accepted, live }: Yield & { live: number },
  { costUsd, hours }: { costUsd: number | null; hours: number },
): Projection {
  const ended = planned - unfinished - held;
  const done = ended + (live + held) / 2;
  const isKnown = ended > 0;
  return {
    costUsd: isKnown && costUsd !== null ? (costUsd / done) * planned : null,
    hoursLeft: isKnown ? (hours / done) * Math.max(0, planned - done) : null,
    perAcceptedUsd: accepted > 0 && costUsd !== null ? costUsd / accepted : null,
  };
}
