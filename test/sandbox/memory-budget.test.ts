/** Who gets memory, and when. */

import { describe, expect, it } from 'vitest';
import { createMemoryBudget } from '../../sandbox/memory-budget.ts';

const signal = new AbortController().signal;
/** Twice of it may be promised. */
const HOST = 50;

/** Takes memory; `has` tells whether it was given. */
function ask(budget: ReturnType<typeof createMemoryBudget>, bytes: number, stop = signal) {
  const asked = { has: false, waitsFor: '', giveBack: () => {}, failed: undefined as unknown };
  budget
    .take(bytes, stop, (reason) => (asked.waitsFor = reason))
    .then(
      (giveBack) => Object.assign(asked, { has: true, giveBack }),
      (error: unknown) => (asked.failed = error),
    );
  return asked;
}
const settled = () => new Promise(setImmediate);

describe('the memory of a host', () => {
  it('is given in turn, and what comes late does not overtake', async () => {
    const budget = createMemoryBudget(HOST);
    const [first, big, small] = [ask(budget, 60), ask(budget, 60), ask(budget, 10)];
    await settled();
    expect([first.has, big.has, small.has]).toEqual([true, false, false]);
    expect(big.waitsFor).toMatch(/^sandboxes take 0\.0 GiB of memory by their limits/);
    first.giveBack();
    first.giveBack();
    await settled();
    expect([big.has, small.has]).toEqual([true, true]);
    const third = ask(budget, 40);
    await settled();
    expect(third.has).toBe(false);
  });

  it('is short when another one like the last would have to wait', async () => {
    const budget = createMemoryBudget(HOST);
    expect(budget.shortage()).toBeUndefined();
    const [first, second] = [ask(budget, 40), ask(budget, 40)];
    await settled();
    expect(budget.shortage()).toMatch(/^sandboxes take .* by their limits/);
    second.giveBack();
    expect(budget.shortage()).toBeUndefined();
    const huge = ask(budget, 90);
    first.giveBack();
    await settled();
    expect(huge.has).toBe(true);
    expect(budget.shortage()).toBeDefined();
  });

  it('is given alone to what is more than all of it', async () => {
    const budget = createMemoryBudget(HOST);
    const running = budget.claim(1);
    const huge = ask(budget, 1000);
    await settled();
    expect(huge.has).toBe(false);
    running();
    await settled();
    expect(huge.has).toBe(true);
  });

  it('is not kept for who gave up, nor the turn', async () => {
    const budget = createMemoryBudget(HOST);
    const stop = new AbortController();
    const [first, second, third] = [ask(budget, 90), ask(budget, 60, stop.signal), ask(budget, 10)];
    await settled();
    stop.abort(new Error('enough'));
    await settled();
    expect(second.failed).toEqual(new Error('enough'));
    expect([first.has, third.has]).toEqual([true, true]);
    expect(ask(budget, 10, stop.signal)).toMatchObject({ has: false });
  });
});
