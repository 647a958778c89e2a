/** Which endpoint a call goes to. */

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Completion } from '../../domain/ports.ts';
import { realClock } from '../../teacher/clock.ts';
import {
  type Behaviour,
  good,
  type Loopback,
  MESSAGES,
  type Setup,
  startLoopback,
  startTeacher,
  status,
} from './loopback.ts';

/** Enough for a host under load. */
const PATIENT: Setup = {
  config: { deadlines: { firstByteMs: 30_000, idleMs: 30_000, totalMs: 30_000 } },
};

/** The reply of CHUNKS, after so long. */
function after(ms: number): Behaviour {
  return (response, received) => void setTimeout(() => good(response, received), ms);
}

function asker(endpoints: Loopback[], setup: Setup = PATIENT) {
  const teacher = startTeacher(endpoints, setup);
  const askFor = (sample: number, step = 1): Promise<Completion> => {
    const scope = `batch/${String(sample).padStart(6, '0')}-abcdef/rollout-1.1`;
    return teacher.ask(MESSAGES, { scope, step, try: 1 });
  };
  return { ...teacher, askFor };
}

const start = (...behaviours: Behaviour[]) =>
  Promise.all(behaviours.map((behaviour) => startLoopback(behaviour)));

describe('several endpoints', () => {
  it('serve a rollout from the same one, and different rollouts from both', async () => {
    const { askFor } = asker(await start(good, good));
    const used = new Map<number, Set<string>>();
    for (let sample = 0; sample < 8; sample += 1) {
      for (let step = 1; step <= 3; step += 1) {
        const { endpoint } = await askFor(sample, step);
        used.set(sample, (used.get(sample) ?? new Set()).add(endpoint));
      }
    }
    expect([...used.values()].every((hosts) => hosts.size === 1)).toBe(true);
    expect(new Set([...used.values()].flatMap((hosts) => [...hosts])).size).toBe(2);
  });

  it.each<[string, Behaviour]>([
    ['down', status(503, {})],
    ['limited', status(429, {}, { 'retry-after': '3600' })],
    ['blocked', status(401, {})],
    ['without credit', status(402, {})],
  ])('take over from one that is %s, without waiting', async (_, trouble) => {
    const endpoints = await start(trouble, good);
    const { askFor, waited } = asker(endpoints);
    for (let sample = 0; sample < 6; sample += 1) {
      expect((await askFor(sample)).endpoint).toBe(endpoints[1]?.host);
    }
    expect(waited).toEqual([]);
  });

  it('get no more calls at once than allowed; the others follow, first come first', async () => {
    let underWay = 0;
    let most = 0;
    const endpoint = await startLoopback((response, received) => {
      underWay += 1;
      most = Math.max(most, underWay);
      setTimeout(() => {
        underWay -= 1;
        good(response, received);
      }, 15);
    });
    const { askFor, waits } = asker([endpoint], {
      ...PATIENT,
      endpoint: { maxConcurrency: 3 },
      clock: realClock,
    });
    const ended: number[] = [];
    await Promise.all(
      Array.from({ length: 10 }, (_, index) => askFor(index).then(() => ended.push(index))),
    );
    expect(most).toBe(3);
    expect(endpoint.received).toHaveLength(10);
    // Of three that are under way together any may end first.
    expect(ended.every((index, place) => Math.abs(index - place) < 3)).toBe(true);
    expect(waits[0]).toEqual({
      endpoint: endpoint.host,
      reason: expect.stringMatching(/^All 3 calls .* a higher `maxConcurrency` allows more/),
      untilMs: undefined,
    });
  });

  it('of one model never get a call of a sample that has another one', async () => {
    const endpoints = await start(good, good, good);
    const models = ['big', 'small', 'small'];
    const { askFor } = asker(endpoints, {
      config: {
        ...PATIENT.config,
        endpoints: endpoints.map(({ baseUrl }, index) => ({
          baseUrl,
          model: models[index] ?? '',
          modelId: models[index],
          maxConcurrency: 1,
        })),
      },
      clock: realClock,
    });
    await Promise.all(Array.from({ length: 12 }, (_, sample) => askFor(sample)));
    const counts = endpoints.map(({ received }) => received.length);
    expect(counts[0]).toBe(6);
    expect((counts[1] ?? 0) + (counts[2] ?? 0)).toBe(6);
    // Another model is no help where this one's endpoints are away.
    const away = await start(status(503, {}), good);
    const { askInVain } = startTeacher(away, {
      config: {
        ...PATIENT.config,
        endpoints: away.map(({ baseUrl }, index) => ({
          baseUrl,
          model: models[index] ?? '',
          modelId: models[index],
          maxConcurrency: 1,
        })),
      },
    });
    expect((await askInVain()).kind).toBe('unavailable');
  });
});

describe('an endpoint that serves its rollouts badly loses them to another one', () => {
  it.each<[string, Behaviour, number]>([
    ['slow', after(1000), 12],
    ['dying: every second call fails', dyingEndpoint(), 30],
  ])('%s', async (_, bad, most) => {
    const [slow, fast] = await start(bad, after(5));
    const { askFor } = asker([slow!, fast!], { ...PATIENT, clock: realClock });
    // Half of these rollouts begin at the bad one.
    for (let step = 1; step <= 20; step += 1) {
      await Promise.all([0, 1, 2, 3].map((sample) => askFor(sample, step)));
    }
    expect(slow!.received.length).toBeLessThan(most);
    expect(slow!.received.length + fast!.received.length).toBeGreaterThanOrEqual(80);
  });

  it('but for what no other one has room for', async () => {
    const [slow, fast] = await start(after(150), after(5));
    const { askFor } = asker([slow!, fast!], {
      ...PATIENT,
      endpoint: { maxConcurrency: 1 },
      clock: realClock,
    });
    for (let step = 1; step <= 10; step += 1) {
      await Promise.all([0, 1, 2, 3].map((sample) => askFor(sample, step)));
    }
    expect(slow!.received.length).toBeGreaterThanOrEqual(10);
  });
});

function dyingEndpoint(): Behaviour {
  return (response, received) =>
    (received.number % 2 === 0 ? good : status(500, {}))(response, received);
}

it('a teacher without endpoints says what is missing', () => {
  expect(() => startTeacher([])).toThrow('give at least one in `teacher.endpoints`');
});

describe('all slots are in use again within seconds of the return of an endpoint that', () => {
  it.each<[string, Behaviour]>([
    ['refused everything', status(429, { error: { message: 'slow down' } })],
    ['failed', status(503, {})],
    ['reset every connection', (response) => void response.destroy()],
  ])('%s', async (_, trouble) => {
    let isAway = false;
    let underWay = 0;
    let most = 0;
    const endpoint = await startLoopback((response, received) => {
      if (isAway) return trouble(response, received);
      underWay += 1;
      most = Math.max(most, underWay);
      setTimeout(() => {
        underWay -= 1;
        good(response, received);
      }, 500);
    });
    const { askFor } = asker([endpoint], {
      ...PATIENT,
      endpoint: { maxConcurrency: 16 },
      clock: realClock,
    });
    let isOver = false;
    const rollouts = Array.from({ length: 16 }, async (_, sample) => {
      for (let step = 1; !isOver; step += 1) await askFor(sample, step);
    });
    await until(() => most === 16, 30_000);
    isAway = true;
    await sleep(3_000);
    isAway = false;
    most = 0;
    // The next try is at most 4 s away after so short a time; then the slots fill with the first reply.
    await until(() => most >= 14, 10_000);
    expect(most).toBeGreaterThanOrEqual(14);
    isOver = true;
    await Promise.all(rollouts);
  });
});

/** Waits for a condition, but not longer than so. */
async function until(condition: () => boolean, mostMs: number): Promise<void> {
  const endMs = performance.now() + mostMs;
  while (!condition() && performance.now() < endMs) await sleep(20);
}
