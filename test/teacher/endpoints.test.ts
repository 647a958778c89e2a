/** Which endpoint a call goes to. */

import { describe, expect, it } from 'vitest';
import { type Behaviour, good, MESSAGES, startLoopback, startTeacher, status } from './loopback.ts';

describe('several endpoints', () => {
  it('serve a rollout from the same one, and different rollouts from both', async () => {
    const endpoints = [await startLoopback(good), await startLoopback(good)];
    const { ask } = startTeacher(endpoints);
    const used = new Map<string, Set<string>>();
    for (let rollout = 0; rollout < 8; rollout += 1) {
      for (let step = 1; step <= 3; step += 1) {
        const scope = `batch/sample-${rollout}/rollout-1.1`;
        const { endpoint } = await ask(MESSAGES, { scope, step, try: 1 });
        used.set(scope, (used.get(scope) ?? new Set()).add(endpoint));
      }
    }
    expect([...used.values()].every((hosts) => hosts.size === 1)).toBe(true);
    expect(new Set([...used.values()].flatMap((hosts) => [...hosts])).size).toBe(2);
  });

  it.each<[string, Behaviour]>([
    ['down', status(503, {})],
    ['limited', status(429, {}, { 'retry-after': '3600' })],
    ['blocked', status(401, {})],
  ])('take over from one that is %s, without waiting', async (_, trouble) => {
    const endpoints = [await startLoopback(trouble), await startLoopback(good)];
    const { ask, waited } = startTeacher(endpoints);
    for (let rollout = 0; rollout < 6; rollout += 1) {
      const scope = `batch/sample-${rollout}/rollout-1.1`;
      expect((await ask(MESSAGES, { scope, step: 1, try: 1 })).endpoint).toBe(endpoints[1]?.host);
    }
    expect(waited).toEqual([]);
  });

  it('get no more calls at once than allowed; the others follow', async () => {
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
    const { ask } = startTeacher([endpoint], { endpoint: { maxConcurrency: 3 } });
    await Promise.all(Array.from({ length: 10 }, () => ask()));
    expect(most).toBe(3);
    expect(endpoint.received).toHaveLength(10);
  });
});

it('a teacher without endpoints says what is missing', () => {
  expect(() => startTeacher([])).toThrow('give at least one in `teacher.endpoints`');
});
