/** Calls or tokens within any minute: never more than allowed, and never fewer where they are wanted. */

const MINUTE_MS = 60_000;

export interface MinuteLimit {
  /** When so much may be taken: `nowMs`, or later. More than a whole minute's is given when nothing else was taken for one. */
  freeAtMs(amount: number, nowMs: number): number;
  /** Returns what puts the amount right, once it is known. */
  take(amount: number, nowMs: number): (actual: number) => void;
}

/** `perMinute` is asked again and again. */
export function createMinuteLimit(perMinute: () => number): MinuteLimit {
  /** Of the last minute, oldest first. */
  const taken: Taken[] = [];
  let sum = 0;

  function forget(nowMs: number): void {
    for (;;) {
      const [first] = taken;
      if (first === undefined || first.atMs > nowMs - MINUTE_MS) return;
      sum -= first.amount;
      first.isForgotten = true;
      taken.shift();
    }
  }

  return {
    freeAtMs(amount, nowMs) {
      forget(nowMs);
      let left = sum;
      let freeAtMs = nowMs;
      for (const each of taken) {
        if (left + amount <= perMinute()) break;
        left -= each.amount;
        freeAtMs = each.atMs + MINUTE_MS;
      }
      return freeAtMs;
    },
    take(amount, nowMs) {
      const entry = { atMs: nowMs, amount, isForgotten: false };
      taken.push(entry);
      sum += amount;
      return (actual) => {
        if (entry.isForgotten) return;
        sum += actual - entry.amount;
        entry.amount = actual;
      };
    },
  };
}

// --- internal ---

interface Taken {
  atMs: number;
  amount: number;
  isForgotten: boolean;
}
