import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Stalled, stallGuarded } from '../../activities/stall-guard.ts';

const DEADLINE_MS = 200;
const signal = new AbortController().signal;

test('work that gets further takes as long as it likes', async () => {
  const steps = stallGuarded(DEADLINE_MS, signal, async (_, onProgress) => {
    for (let step = 0; step < 6; step += 1) {
      onProgress();
      await sleep(DEADLINE_MS / 4);
    }
    return 'done';
  });
  expect(await steps).toBe('done');
});

test('work that hangs is aborted and waited for no more, even if it takes no notice', async () => {
  let aborted: unknown;
  const hanging = stallGuarded(DEADLINE_MS, signal, (own) => {
    own.addEventListener('abort', () => (aborted = own.reason));
    return new Promise<never>(() => undefined);
  });
  await expect(hanging).rejects.toThrow(Stalled);
  expect(aborted).toBeInstanceOf(Stalled);
});

test('work keeps its own end, and is aborted from outside as ever', async () => {
  const failing = stallGuarded(DEADLINE_MS, signal, () => Promise.reject(new Error('its own')));
  await expect(failing).rejects.toThrow('its own');
  const outside = new AbortController();
  const aborted = stallGuarded(DEADLINE_MS, outside.signal, async (own) => {
    outside.abort(new Error('from outside'));
    own.throwIfAborted();
  });
  await expect(aborted).rejects.toThrow('from outside');
});
