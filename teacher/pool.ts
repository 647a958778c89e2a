/** Which endpoint a call may use now: slots, pauses after trouble, blocks after a wrong key or model. */

import type { Trouble } from './classify.ts';
import type { Clock } from './clock.ts';
import type { Endpoint } from './endpoint.ts';

/** From so many failures in a row on, an endpoint gets one call at a time, until it answers again. */
const FAILURES_TO_OPEN = 3;
const PROBE_PAUSE_MS = 1000;
/** A blocked endpoint is asked again after this long; sooner when its key changed. */
const BLOCK_MS = 60_000;

const FIRST_BACKOFF_MS = 500;
/** Short, so that the slots are full again within seconds of an endpoint's return. */
const MAX_UNAVAILABLE_BACKOFF_MS = 5000;
const MAX_RATE_LIMIT_BACKOFF_MS = 30_000;
/** Longer demands are taken for this; an endpoint that asks for a year has made a mistake. */
const MAX_RETRY_AFTER_MS = 10 * 60_000;

export interface Member {
  readonly endpoint: Endpoint;
  inFlight: number;
  /** In a row. */
  failures: number;
  pausedUntilMs: number;
  lastTrouble: Trouble | undefined;
  blocked: { trouble: Trouble; untilMs: number; key: string | undefined } | undefined;
}

export type Choice =
  | { kind: 'member'; member: Member }
  /** Every usable endpoint has all the calls it may have. */
  | { kind: 'full' }
  | { kind: 'paused'; member: Member; untilMs: number }
  | { kind: 'blocked'; member: Member; trouble: Trouble };

export interface Pool {
  readonly members: readonly Member[];
  /** Changes nothing. `avoid` holds what this call should leave alone, and until when. */
  choose(scope: string, avoid: ReadonlyMap<Member, number>): Choice;
  take(member: Member): void;
  release(member: Member): void;
  /** Resolves at the next release; rejects when the signal aborts. */
  released(signal: AbortSignal): Promise<void>;
  alive(member: Member): void;
  /** Books a temporary failure; returns how long the call should leave the endpoint alone. */
  failed(member: Member, trouble: Trouble, tries: number): number;
  block(member: Member, trouble: Trouble, key: string | undefined): void;
}

/** One pool per teacher. A scope stays with its endpoint while that can serve it, because the prompt cache is there. */
export function createPool(endpoints: Endpoint[], clock: Clock): Pool {
  const members: Member[] = endpoints.map((endpoint) => ({
    endpoint,
    inFlight: 0,
    failures: 0,
    pausedUntilMs: 0,
    lastTrouble: undefined,
    blocked: undefined,
  }));
  let waiters: (() => void)[] = [];

  const isProbing = (member: Member) => member.failures >= FAILURES_TO_OPEN;
  const isFull = (member: Member) => member.inFlight >= member.endpoint.config.maxConcurrency;
  const load = (member: Member) => member.inFlight / member.endpoint.config.maxConcurrency;

  function availableAt(member: Member, avoid: ReadonlyMap<Member, number>, now: number): number {
    const probed = isProbing(member) && member.inFlight > 0 ? now + PROBE_PAUSE_MS : 0;
    return Math.max(member.pausedUntilMs, avoid.get(member) ?? 0, probed);
  }

  return {
    members,
    choose(scope, avoid) {
      const now = clock.now();
      const open = members.filter(({ blocked }) => blocked === undefined || blocked.untilMs <= now);
      if (open.length === 0) {
        const member = members.find(({ blocked }) => blocked !== undefined);
        if (member?.blocked === undefined) throw new Error('a pool needs an endpoint');
        return { kind: 'blocked', member, trouble: member.blocked.trouble };
      }
      const usable = open.filter((member) => availableAt(member, avoid, now) <= now);
      if (usable.length === 0) {
        const untilMs = Math.min(...open.map((member) => availableAt(member, avoid, now)));
        const member = open.find((each) => availableAt(each, avoid, now) === untilMs);
        if (member !== undefined) return { kind: 'paused', member, untilMs: Math.ceil(untilMs) };
      }
      const preferred = members[hash(scope) % members.length];
      if (preferred !== undefined && usable.includes(preferred) && !isFull(preferred)) {
        return { kind: 'member', member: preferred };
      }
      const [least] = usable.filter((member) => !isFull(member)).sort((a, b) => load(a) - load(b));
      return least === undefined ? { kind: 'full' } : { kind: 'member', member: least };
    },
    take(member) {
      member.inFlight += 1;
    },
    release(member) {
      member.inFlight -= 1;
      const woken = waiters;
      waiters = [];
      for (const wake of woken) wake();
    },
    released(signal) {
      return new Promise((resolve, reject) => {
        const onAbort = () => {
          waiters = waiters.filter((each) => each !== wake);
          reject(signal.reason as Error);
        };
        const wake = () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        };
        signal.addEventListener('abort', onAbort, { once: true });
        waiters.push(wake);
      });
    },
    alive(member) {
      member.failures = 0;
      member.blocked = undefined;
    },
    failed(member, trouble, tries) {
      member.failures += 1;
      member.lastTrouble = trouble;
      const isRateLimit = trouble.kind === 'rate-limit';
      const max = isRateLimit ? MAX_RATE_LIMIT_BACKOFF_MS : MAX_UNAVAILABLE_BACKOFF_MS;
      const waitMs = backoffMs(isRateLimit ? member.failures : tries, max, trouble, clock.random());
      // One cut reply says nothing about the others; a rate limit, or a third failure in a row, does.
      if (isRateLimit || isProbing(member)) {
        member.pausedUntilMs = Math.max(member.pausedUntilMs, clock.now() + waitMs);
      }
      return waitMs;
    },
    block(member, trouble, key) {
      member.blocked = { trouble, untilMs: clock.now() + BLOCK_MS, key };
    },
  };
}

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

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  return value >>> 0;
}
