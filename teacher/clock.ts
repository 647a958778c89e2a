/** Time, handed in so that tests need not wait. */

import { setTimeout as sleep } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds, for how long something takes: nobody sets this clock. */
  now(): number;
  /** Milliseconds since 1970. */
  date(): number;
  /** Rejects when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** 0 to 1, for jitter. */
  random(): number;
}

export const realClock: Clock = {
  now: () => performance.now(),
  date: Date.now,
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
  random: Math.random,
};
