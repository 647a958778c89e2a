/** How long an endpoint has taken per reply of late, failures and what they cost included; and whether it is heard of at all. */

/** Weight of the newest call. */
const NEWEST = 0.2;
/** Before so many calls a mean says nothing. */
const FEWEST_CALLS = 3;
/** What is older says nothing about now; so an endpoint that was left alone is tried again, by one call. */
const STALE_MS = 60_000;
/** Nothing is heard of an endpoint that has calls under way and sent not a byte for this long, nor for some of its usual calls. */
const SILENT_MS = 10_000;
const SILENT_CALLS = 3;

export interface Pace {
  began(nowMs: number): void;
  /** The endpoint sent something. */
  heard(nowMs: number): void;
  /** What became of a call that began so long ago; a failure may cost more than the time it took. */
  ended(end: { isReply: boolean; costMs: number } | 'abandoned', nowMs: number): void;
  /** Undefined where nothing is known. */
  msPerReply(nowMs: number): number | undefined;
  isSilent(nowMs: number): boolean;
}

export function createPace(): Pace {
  let underWay = 0;
  let calls = 0;
  let callMs = 0;
  let replies = 1;
  let lastMs = 0;

  const msPerReply = (nowMs: number) =>
    calls < FEWEST_CALLS || nowMs - lastMs > STALE_MS
      ? undefined
      : callMs / Math.max(replies, 0.01);

  return {
    began(nowMs) {
      if (underWay === 0) lastMs = nowMs;
      underWay += 1;
    },
    heard(nowMs) {
      lastMs = nowMs;
    },
    ended(end, nowMs) {
      underWay -= 1;
      if (end === 'abandoned') return;
      calls += 1;
      lastMs = nowMs;
      const weight = Math.max(NEWEST, 1 / calls);
      callMs += (end.costMs - callMs) * weight;
      replies += (Number(end.isReply) - replies) * weight;
    },
    msPerReply,
    isSilent(nowMs) {
      const longMs = Math.max(SILENT_MS, SILENT_CALLS * (msPerReply(nowMs) ?? 0));
      return underWay > 0 && nowMs - lastMs > longMs;
    },
  };
}
