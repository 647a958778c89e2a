import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Share } from '../../../domain/store.ts';
import { createShare } from '../../../worker/share.ts';
import { createTeacher } from '../../support/agent-script.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a worker takes its share before it asks, and again while it asks', async () => {
  let share: Share = { index: 1, of: 2 };
  let isAway = false;
  const taken: string[] = [];
  /** In how many parts the limits were at each call. */
  const seen: number[] = [];
  const take = async (batch: string) => {
    taken.push(batch);
    if (isAway) throw new Error('the store is away');
    return share;
  };
  const own = createShare({ take }, 'b');
  const teacher = own.keptBy({
    async complete(request, call, signal) {
      seen.push(own.now().of);
      return createTeacher([{ content: 'yes' }]).complete(request, call, signal);
    },
  });
  const ask = () =>
    teacher.complete(
      { messages: [] },
      { scope: 's', step: 1, try: 1 },
      new AbortController().signal,
    );
  await vi.advanceTimersByTimeAsync(20_000);
  expect(taken).toEqual([]);
  await ask();
  await ask();
  expect(taken).toEqual(['b']);
  share = { index: 0, of: 1 };
  await vi.advanceTimersByTimeAsync(5_000);
  expect(own.now()).toEqual({ index: 0, of: 1 });
  // Who asks no more leaves its part to the others, and takes one again with its next call.
  await vi.advanceTimersByTimeAsync(20_000);
  expect(taken).toHaveLength(2);
  [share, isAway] = [{ index: 1, of: 2 }, true];
  await ask();
  isAway = false;
  await vi.advanceTimersByTimeAsync(5_000);
  await ask();
  expect(seen).toEqual([2, 2, 1, 2]);
  own.stop();
});
