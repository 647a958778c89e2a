/** The three clocks of one reply: first byte, silence, and all of it. */

import type { BatchConfig } from '../domain/config.ts';

export type Deadlines = BatchConfig['teacher']['deadlines'];

/** A deadline of the call passed. */
export class DeadlinePassed extends Error {
  override readonly name = 'DeadlinePassed';
}

/** After the end mark an endpoint may keep the connection open; the reply is complete, so nobody waits longer for its end. */
const END_GRACE_MS = 200;

export interface Watch {
  /** Aborts with DeadlinePassed, or with the caller's reason. */
  readonly signal: AbortSignal;
  /** Bytes of the reply arrived. */
  touch(): void;
  /** The reply is complete; only the end of the connection is still awaited. */
  complete(): void;
  stop(): void;
}

/** Starts the clocks of one reply. `stop` must be called, or the timers keep the process alive. */
export function watchReply(deadlines: Deadlines, caller: AbortSignal): Watch {
  const controller = new AbortController();
  const pass = (what: string, ms: number) =>
    controller.abort(new DeadlinePassed(`${what} within ${ms} ms`));
  const onAbort = () => controller.abort(caller.reason);
  if (caller.aborted) onAbort();
  else caller.addEventListener('abort', onAbort, { once: true });

  const { firstByteMs, idleMs, totalMs } = deadlines;
  const total = setTimeout(pass, totalMs, 'the reply did not end', totalMs);
  let silence = setTimeout(pass, firstByteMs, 'no first byte came', firstByteMs);
  let state: 'waiting' | 'reading' | 'complete' = 'waiting';
  return {
    signal: controller.signal,
    touch() {
      if (state === 'reading') {
        silence.refresh();
      } else if (state === 'waiting') {
        state = 'reading';
        clearTimeout(silence);
        silence = setTimeout(pass, idleMs, 'no further byte came', idleMs);
      }
    },
    complete() {
      state = 'complete';
      clearTimeout(silence);
      silence = setTimeout(pass, END_GRACE_MS, 'the connection did not end', END_GRACE_MS);
    },
    stop() {
      clearTimeout(total);
      clearTimeout(silence);
      caller.removeEventListener('abort', onAbort);
    },
  };
}
