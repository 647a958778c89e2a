import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { EndpointPulse, Pulses } from '../../../domain/store.ts';
import { createPulse, type EndpointLoad } from '../../../worker/pulse.ts';
import { toSpendLine } from '../../support/paid-calls.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watch(load: EndpointLoad) {
  const said: EndpointPulse[][] = [];
  const pulses: Pulses = {
    beat: async (_batch, endpoints) => void said.push(endpoints),
    now: async () => [],
  };
  const pulse = createPulse(
    pulses,
    'b',
    () => [load],
    () => {},
  );
  return { said, pulse };
}

test('says what is under way and how fast tokens come, and once that nothing does any more', async () => {
  const load = { endpoint: 'e', model: 'm', callsUnderWay: 0 };
  const { said, pulse } = watch(load);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(said).toEqual([]);
  load.callsUnderWay = 2;
  for (let call = 1; call <= 3; call += 1) pulse.paid(toSpendLine(1));
  await vi.advanceTimersByTimeAsync(5_000);
  expect(said).toEqual([
    [
      {
        endpoint: 'e',
        model: 'm',
        callsUnderWay: 2,
        inputTokensPerSecond: 10,
        outputTokensPerSecond: 1,
      },
    ],
  ]);
  load.callsUnderWay = 0;
  await vi.advanceTimersByTimeAsync(120_000);
  expect(said.slice(-1)).toEqual([[]]);
  expect(said.filter((endpoints) => endpoints.length === 0)).toHaveLength(1);
  pulse.stop();
});
