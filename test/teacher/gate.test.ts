/** Whether a call may begin at an endpoint, in a time of the test's own. */

import { describe, expect, it } from 'vitest';
import type { Share } from '../../domain/store.ts';
import type { Trouble } from '../../teacher/classify.ts';
import type { Endpoint } from '../../teacher/endpoint.ts';
import { createGate, type Turn } from '../../teacher/gate.ts';
import { partOf } from '../../teacher/share.ts';

const TICK_MS = 50;
const REFUSED: Trouble = { kind: 'rate-limit', reason: '429 slow down', refusesStreaming: false };
const DOWN: Trouble = { kind: 'unavailable', reason: '503 loading', refusesStreaming: false };
const WRONG_KEY: Trouble = { kind: 'auth', reason: '401 wrong key', refusesStreaming: false };

function createWorld(limits: Partial<Endpoint['config']> = {}, share: Share = { index: 0, of: 1 }) {
  const time = { ms: 1_000_000 };
  const clock = {
    now: () => time.ms,
    date: () => time.ms,
    random: () => 0.5,
    sleep: () => Promise.reject(new Error('a gate does not wait')),
  };
  const config = { baseUrl: 'http://h/v1', model: 'm', maxConcurrency: 32, ...limits };
  const endpoint = { config, host: 'h' } as Endpoint;
  const world = { share };
  const gate = createGate(endpoint, clock, () => world.share);
  return { time, gate, world };
}

/** An endpoint that serves so many calls at once, each for so long, and refuses the others; asked as often as the gate lets us. */
function serve(
  { time, gate }: ReturnType<typeof createWorld>,
  server: { capacity: number; latencyMs: number; tokens?: number },
  forMs: number,
) {
  const served: { turn: Turn; endsMs: number }[] = [];
  const begun: number[] = [];
  let [busyMs, refused] = [0, 0];
  for (const endMs = time.ms + forMs; time.ms < endMs; time.ms += TICK_MS) {
    for (const call of served.filter(({ endsMs }) => endsMs <= time.ms)) {
      served.splice(served.indexOf(call), 1);
      call.turn.replied(server.tokens ?? 0);
    }
    const refusedTurns: Turn[] = [];
    while (gate.hold(server.tokens ?? 0) === undefined) {
      const turn = gate.begin(server.tokens ?? 0);
      begun.push(time.ms);
      if (served.length < server.capacity)
        served.push({ turn, endsMs: time.ms + server.latencyMs });
      else refusedTurns.push(turn);
    }
    for (const turn of refusedTurns) turn.failed(REFUSED, 1);
    refused += refusedTurns.length;
    busyMs += served.length * TICK_MS;
  }
  for (const { turn } of served) turn.abandoned();
  return { busy: busyMs / forMs / server.capacity, begun, refused };
}

/** The most that fell into any minute. */
function mostInAMinute(times: number[]): number {
  return Math.max(
    ...times.map((from) => times.filter((at) => at >= from && at < from + 60_000).length),
  );
}

describe('calls under way', () => {
  it.each([4, 16, 30])('are soon as many as the endpoint takes: %i of 32', (capacity) => {
    const world = createWorld();
    expect(serve(world, { capacity, latencyMs: 2000 }, 20_000).busy).toBeGreaterThan(0.85);
    const { busy, begun, refused } = serve(world, { capacity, latencyMs: 2000 }, 120_000);
    expect(busy).toBeGreaterThan(0.95);
    expect(refused / begun.length).toBeLessThan(0.06);
  });

  it('become fewer when the endpoint takes fewer, and more when it takes more', () => {
    const world = createWorld();
    serve(world, { capacity: 32, latencyMs: 2000 }, 20_000);
    serve(world, { capacity: 6, latencyMs: 2000 }, 30_000);
    expect(serve(world, { capacity: 6, latencyMs: 2000 }, 60_000).busy).toBeGreaterThan(0.95);
    serve(world, { capacity: 24, latencyMs: 2000 }, 60_000);
    expect(serve(world, { capacity: 24, latencyMs: 2000 }, 60_000).busy).toBeGreaterThan(0.95);
  });

  it('are nearly all of them again at once after a time in which everything was refused', () => {
    const world = createWorld();
    serve(world, { capacity: 32, latencyMs: 2000 }, 20_000);
    const storm = serve(world, { capacity: 0, latencyMs: 0 }, 60_000);
    expect(storm.begun.length).toBeLessThan(2 * 32 + 15);
    // The next try may still be ten seconds away.
    world.time.ms += 10_000;
    serve(world, { capacity: 32, latencyMs: 2000 }, 4_000);
    expect(serve(world, { capacity: 32, latencyMs: 2000 }, 8_000).busy).toBeGreaterThan(0.9);
  });
});

describe('limits per minute', () => {
  it('of calls are kept in any minute, and used up', () => {
    const world = createWorld({ requestsPerMinute: 30 });
    const { begun } = serve(world, { capacity: 32, latencyMs: 500 }, 300_000);
    expect(mostInAMinute(begun)).toBe(30);
    expect(begun.length).toBeGreaterThanOrEqual(150);
  });

  it('of tokens are kept in any minute, by what the replies say they took', () => {
    const world = createWorld({ tokensPerMinute: 10_000 });
    const { time, gate } = world;
    const turn = gate.begin(1_000);
    turn.replied(9_500);
    expect(gate.hold(400)).toBeUndefined();
    expect(gate.hold(600)).toEqual({ kind: 'minute', untilMs: time.ms + 60_000 });
    time.ms += 60_000;
    expect(gate.hold(600)).toBeUndefined();
    // Larger than a minute allows, it goes out all the same, alone.
    expect(gate.hold(20_000)).toBeUndefined();
    const { begun } = serve(world, { capacity: 32, latencyMs: 500, tokens: 2_500 }, 300_000);
    expect(mostInAMinute(begun)).toBe(4);
  });
});

describe('trouble', () => {
  it('three times in a row lets one call through at a time, until one is answered', () => {
    const { time, gate } = createWorld();
    const turns = [1, 2, 3].map(() => gate.begin(0));
    const waits = turns.map((turn) => turn.failed(DOWN, 1));
    expect(gate.hold(0)).toEqual({
      kind: 'paused',
      trouble: DOWN,
      untilMs: time.ms + (waits[2] ?? 0),
    });
    time.ms += 1_000;
    expect(gate.hold(0)).toBeUndefined();
    const probe = gate.begin(0);
    expect(gate.hold(0)).toMatchObject({ kind: 'paused', trouble: DOWN });
    probe.heard();
    expect(gate.hold(0)).toBeUndefined();
  });

  it('a call that hangs while the endpoint is tried does not keep the next try away', () => {
    const { time, gate } = createWorld();
    for (const turn of [1, 2, 3].map(() => gate.begin(0))) turn.failed(DOWN, 1);
    time.ms += 1_000;
    gate.begin(0);
    time.ms += 10_000;
    expect(gate.hold(0)).toBeUndefined();
  });

  it('that comes and goes does not hinder other calls', () => {
    const { gate } = createWorld();
    for (let call = 0; call < 20; call += 1) {
      gate.begin(0).failed(DOWN, 1);
      expect(gate.hold(0)).toBeUndefined();
      gate.begin(0).replied(0);
    }
  });

  it('a demand to wait is kept by all calls, with a little more, and never for long', () => {
    const { time, gate } = createWorld();
    gate.begin(0).failed({ ...REFUSED, retryAfterMs: 20_000 }, 1);
    expect(gate.hold(0)).toMatchObject({ kind: 'paused', untilMs: time.ms + 21_000 });
    time.ms += 21_000;
    gate.begin(0).failed({ ...REFUSED, retryAfterMs: 1e12 }, 1);
    expect(gate.hold(0)).toMatchObject({ kind: 'paused', untilMs: time.ms + 630_000 });
  });

  it('that only people can mend blocks, but for one call a minute', () => {
    const { time, gate } = createWorld();
    gate.begin(0).blocked(WRONG_KEY, 'old');
    expect(gate.hold(0)).toMatchObject({ kind: 'blocked', trouble: WRONG_KEY });
    time.ms += 60_000;
    expect(gate.hold(0)).toBeUndefined();
    const probe = gate.begin(0);
    expect(gate.hold(0)).toMatchObject({ kind: 'blocked', trouble: WRONG_KEY });
    probe.replied(0);
    expect(gate.hold(0)).toBeUndefined();
  });
});

describe('a worker among several', () => {
  it.each([
    [32, 3, [11, 11, 10]],
    [2, 3, [1, 1, 1]],
    [7, 1, [7]],
  ])('has its part of %i: %i of them', (limit, of, parts) => {
    expect(parts.map((_, index) => partOf(limit, { index, of }))).toEqual(parts);
  });

  it('takes what another one leaves', () => {
    const { gate, world } = createWorld({ maxConcurrency: 4 }, { index: 1, of: 2 });
    const begin = () => {
      for (let begun = 0; ; begun += 1) {
        if (gate.hold(0) !== undefined) return begun;
        gate.begin(0);
      }
    };
    expect(begin()).toBe(2);
    world.share = { index: 0, of: 1 };
    expect(begin()).toBe(2);
  });
});
