import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createAdmission, hostShortage } from '../../../worker/admission.ts';
import { watchSlots } from '../../../worker/slots.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A host, who asks it for slots, and what it tells. */
function createHost(slots: number) {
  const host = { slots, reason: undefined as string | undefined, told: [] as unknown[] };
  const admission = createAdmission({
    slots: () => host.slots,
    shortage: () => host.reason,
    onShortage: (reason) => host.told.push(reason),
  });
  const of = { slotType: 'activity', taskQueue: 'q', workerIdentity: 'w' } as never;
  return {
    host,
    ask() {
      const asked = { has: false, failed: undefined as unknown, stop: new AbortController() };
      admission.reserveSlot(of, asked.stop.signal).then(
        () => (asked.has = true),
        (error: unknown) => (asked.failed = error),
      );
      return asked;
    },
    giveBack: () => admission.releaseSlot({ permit: {} }),
    later: () => vi.advanceTimersByTimeAsync(1_000),
  };
}
const has = (asked: { has: boolean }[]) => asked.map((one) => one.has);

describe('slots', () => {
  test('are as many as there are, in turn', async () => {
    const { ask, giveBack, later } = createHost(2);
    const asked = [ask(), ask(), ask(), ask()];
    await later();
    expect(has(asked)).toEqual([true, true, false, false]);
    giveBack();
    await later();
    expect(has(asked)).toEqual([true, true, true, false]);
  });

  test('become more or fewer while rollouts run', async () => {
    const { host, ask, giveBack, later } = createHost(1);
    const asked = [ask(), ask(), ask(), ask()];
    host.slots = 3;
    await later();
    expect(has(asked)).toEqual([true, true, true, false]);
    host.slots = 1;
    giveBack();
    giveBack();
    await later();
    expect(asked[3]?.has).toBe(false);
    giveBack();
    await later();
    expect(asked[3]?.has).toBe(true);
  });

  test('are held back while the host is short of something, but for one', async () => {
    const { host, ask, later } = createHost(4);
    host.reason = 'the load is 9';
    const asked = [ask(), ask(), ask()];
    await later();
    await later();
    expect(has(asked)).toEqual([true, false, false]);
    host.reason = undefined;
    await later();
    expect(has(asked)).toEqual([true, true, true]);
    expect(host.told).toEqual(['the load is 9', undefined]);
  });

  test('are not kept for who no longer asks', async () => {
    const { ask, giveBack, later } = createHost(1);
    const [first, second, third] = [ask(), ask(), ask()];
    await later();
    second.stop.abort(new Error('shutting down'));
    giveBack();
    await later();
    expect(second).toMatchObject({ has: false, failed: new Error('shutting down') });
    expect([first.has, third.has]).toEqual([true, true]);
  });

  test('follow what is set for all workers, and are the own ones without', async () => {
    let tuned: number | undefined;
    let isAway = false;
    const read = async () => {
      if (isAway) throw new Error('the store is away');
      return tuned;
    };
    const slots = await watchSlots({ slots: read }, 4);
    expect(slots.now()).toBe(4);
    tuned = 9;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(slots.now()).toBe(9);
    [isAway, tuned] = [true, 2];
    await vi.advanceTimersByTimeAsync(5_000);
    expect(slots.now()).toBe(9);
    [isAway, tuned] = [false, undefined];
    await vi.advanceTimersByTimeAsync(5_000);
    expect(slots.now()).toBe(4);
    slots.stop();
  });
});

test.each([
  ['nothing', 4, 600, undefined],
  ['load', 4.5, 600, /^the load of this host is 4\.5, above 4 \(TWINPATCH_MAX_LOAD\)$/],
  ['memory', 1, 100, /^this host has 100 MiB of memory available, below 512 /],
])('a host is short of %s', (_, load, freeMebibytes, reason) => {
  const limits = { maxLoad: 4, memoryReserveBytes: 512 * 1024 ** 2 };
  const shortage = hostShortage(limits, { load, freeBytes: freeMebibytes * 1024 ** 2 });
  if (reason === undefined) expect(shortage).toBeUndefined();
  else expect(shortage).toMatch(reason);
});
