/**
 * The way to one endpoint: whether a call may begin now and, if not, why and until when. Slots that adapt, limits per minute, a
 * pause after trouble with one call at a time until the endpoint answers again (a breaker), and a block until somebody mends it.
 */

import type { Share } from '../domain/store.ts';
import type { Trouble } from './classify.ts';
import type { Clock } from './clock.ts';
import { createConcurrency } from './concurrency.ts';
import type { Endpoint } from './endpoint.ts';
import { createMinuteLimit } from './minute-limit.ts';
import { createPace } from './pace.ts';
import { partOf } from './share.ts';

/** Failures in a row that open the breaker; a refusal of all that was under way does it at once. */
const FAILURES_TO_OPEN = 3;
/** The breaker lets one call through; another one follows after this long, should the first still hang. */
const PROBE_MS = 10_000;
/** A blocked endpoint gets one call this often; sooner when its key changed. */
const BLOCK_MS = 60_000;

const FIRST_BACKOFF_MS = 500;
/** Short, so that the slots are full again within seconds of an endpoint's return. */
const MAX_UNAVAILABLE_BACKOFF_MS = 5000;
const MAX_RATE_LIMIT_BACKOFF_MS = 10_000;
/** Longer demands are taken for this; an endpoint that asks for a year has made a mistake. */
const MAX_RETRY_AFTER_MS = 10 * 60_000;

/** Why no call may begin just now. Times are the clock's. */
export type Hold =
  | { kind: 'blocked' | 'paused'; trouble: Trouble; untilMs: number }
  /** All calls that it may have are under way. */
  | { kind: 'full'; limit: number }
  | { kind: 'minute'; untilMs: number };

/** One call's turn at the endpoint. */
export interface Turn {
  /** The endpoint began to answer: it lives. */
  heard(): void;
  // The first of these ends it.
  replied(tokens: number): void;
  /** Temporary failure, the call's nth; returns how long the call should leave the endpoint alone, in milliseconds. */
  failed(trouble: Trouble, nth: number): number;
  /** It answers nobody until somebody mends it, or its key is no longer this one. */
  blocked(trouble: Trouble, key: string | undefined): void;
  /** The trouble is the call's own. */
  rejected(): void;
  /** Nobody wants the reply any more. */
  abandoned(): void;
}

export interface Gate {
  readonly endpoint: Endpoint;
  /** Why a call of so many input tokens can't begin now; undefined when it can. */
  hold(tokens: number): Hold | undefined;
  begin(tokens: number): Turn;
  inFlight(): number;
  /** Share of its slots that is in use. */
  load(): number;
  /** Mean time per reply of late; undefined where that is not known. */
  msPerReply(): number | undefined;
  /** Has calls under way, and sent nothing for long. */
  isSilent(): boolean;
  /** The key with which it is blocked; undefined when it isn't. */
  blockedKey(): { key: string | undefined } | undefined;
  unblock(): void;
}

/** `share`: what of the endpoint's limits is this worker's; asked again and again. */
export function createGate(endpoint: Endpoint, clock: Clock, share: () => Share): Gate {
  const { maxConcurrency, requestsPerMinute, tokensPerMinute } = endpoint.config;
  const concurrency = createConcurrency(() => partOf(maxConcurrency, share()));
  const perMinute = (limit = Number.POSITIVE_INFINITY) =>
    createMinuteLimit(() => (Number.isFinite(limit) ? partOf(limit, share()) : limit));
  const [requests, tokens] = [perMinute(requestsPerMinute), perMinute(tokensPerMinute)];
  const pace = createPace();
  /** In a row. */
  let failures = 0;
  let paused: { trouble: Trouble; untilMs: number } | undefined;
  let blocked: { trouble: Trouble; untilMs: number; key: string | undefined } | undefined;

  const isOpen = () => failures >= FAILURES_TO_OPEN;

  function beginTurn(inputTokens: number): Turn {
    const startedMs = clock.now();
    const isProbe = isOpen() || blocked !== undefined;
    if (blocked !== undefined) blocked.untilMs = startedMs + BLOCK_MS;
    else if (paused !== undefined && isProbe) paused.untilMs = startedMs + PROBE_MS;
    requests.take(1, startedMs);
    const correctTokens = tokens.take(inputTokens, startedMs);
    const begun = concurrency.begin();
    pace.began(startedMs);

    let isOver = false;
    function end(outcome: 'reply' | 'refused' | 'failed' | 'abandoned'): void {
      if (isOver) return;
      isOver = true;
      const now = clock.now();
      const costMs = now - startedMs + (outcome === 'reply' ? 0 : FIRST_BACKOFF_MS);
      pace.ended(outcome === 'abandoned' ? outcome : { isReply: outcome === 'reply', costMs }, now);
      concurrency.end(begun, outcome);
    }

    function alive(): void {
      pace.heard(clock.now());
      failures = 0;
      paused = undefined;
      blocked = undefined;
    }

    return {
      heard: alive,
      replied(actual) {
        alive();
        correctTokens(actual);
        end('reply');
      },
      failed(trouble, nth) {
        const isRefusal = trouble.kind === 'rate-limit';
        blocked = undefined;
        end(isRefusal && !isProbe ? 'refused' : 'failed');
        // Refused beside calls that are taken, there are too many; refused as all were, there should be none for a while.
        const isStorm = isRefusal && (isProbe || concurrency.inFlight() === 0);
        if (isStorm && !isProbe) failures = Math.max(failures, FAILURES_TO_OPEN);
        else if (isStorm || !isRefusal) failures += 1;
        const max = isRefusal ? MAX_RATE_LIMIT_BACKOFF_MS : MAX_UNAVAILABLE_BACKOFF_MS;
        const row = isStorm ? failures - FAILURES_TO_OPEN + 1 : nth;
        const waitMs = backoffMs(row, max, trouble, clock.random());
        if (isOpen() || trouble.retryAfterMs !== undefined) {
          const longest = isProbe ? 0 : (paused?.untilMs ?? 0);
          paused = { trouble, untilMs: Math.max(longest, clock.now() + waitMs) };
        }
        return waitMs;
      },
      blocked(trouble, key) {
        end('failed');
        blocked = { trouble, untilMs: clock.now() + BLOCK_MS, key };
      },
      rejected() {
        alive();
        end('abandoned');
      },
      abandoned: () => end('abandoned'),
    };
  }

  return {
    endpoint,
    hold(inputTokens) {
      const now = clock.now();
      if (blocked !== undefined && blocked.untilMs > now) return { kind: 'blocked', ...blocked };
      if (paused !== undefined && paused.untilMs > now) return { kind: 'paused', ...paused };
      const limit = concurrency.limit();
      if (concurrency.inFlight() >= limit) return { kind: 'full', limit };
      const untilMs = Math.max(requests.freeAtMs(1, now), tokens.freeAtMs(inputTokens, now));
      return untilMs > now ? { kind: 'minute', untilMs } : undefined;
    },
    begin: beginTurn,
    inFlight: concurrency.inFlight,
    load: () => concurrency.inFlight() / concurrency.limit(),
    msPerReply: () => pace.msPerReply(clock.now()),
    isSilent: () => pace.isSilent(clock.now()),
    blockedKey: () => blocked && { key: blocked.key },
    unblock() {
      blocked = undefined;
    },
  };
}

// --- internal ---

/** What the endpoint asked for, capped and a little more; otherwise doubling from half a second, between half and all of it. */
function backoffMs(tries: number, maxMs: number, { retryAfterMs }: Trouble, random: number) {
  const doubled = Math.min(maxMs, FIRST_BACKOFF_MS * 2 ** Math.min(tries - 1, 20));
  const own = doubled * (0.5 + random / 2);
  if (retryAfterMs === undefined) return own;
  return Math.max(
    Math.min(retryAfterMs, MAX_RETRY_AFTER_MS) * (1 + random / 10),
    FIRST_BACKOFF_MS / 2,
  );
}
