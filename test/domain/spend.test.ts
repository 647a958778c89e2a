import { describe, expect, it, test } from 'vitest';
import {
  addTotals,
  hoursWorked,
  IDLE_MS,
  knownCost,
  NOTHING_SPENT,
  placeOf,
  toTotal,
} from '../../domain/spend.ts';
import { toSpendLine } from '../support/paid-calls.ts';

const START = Date.parse('2026-01-01T00:00:00Z');
const HOUR_MS = 3_600_000;
/** A call that ended so long after the start and took so long. */
const callAt = (endMs: number, durationMs: number) =>
  toTotal(toSpendLine(1, undefined, { at: new Date(START + endMs).toISOString(), durationMs }));
const sum = (...totals: ReturnType<typeof toTotal>[]) => totals.reduce(addTotals, NOTHING_SPENT);

describe('a call says what it was made for', () => {
  it.each([
    ['b.x/000001-abc/rollout-1.2', 'rollout-1', 2, 1],
    ['b.x/000001-abc/rollout-2.1.g3', 'rollout-2', 1, 3],
    ['b.x/000001-abc/self-check.2-0f3a', 'self-check', 2, 1],
    ['b.x/000001-abc/self-check.2-0f3a.g2', 'self-check', 2, 2],
    ['b.x/000001-abc/synthetic-pr.1-abcd.3.g12', 'synthetic-pr', 1, 12],
  ])('%s', (scope, stage, attempt, generation) => {
    expect(placeOf({ scope })).toEqual({
      batch: 'b.x',
      sample: '000001-abc',
      stage,
      attempt,
      generation,
    });
  });

  it('and one that no stage makes is a mistake', () => {
    expect(() => placeOf({ scope: 's' })).toThrow('no stage of a sample makes a call s');
  });
});

describe('the hours that a batch worked', () => {
  it('are those of calls, also of several workers at the same time, and of short pauses between', () => {
    const worked = sum(callAt(HOUR_MS, HOUR_MS), callAt(HOUR_MS / 2, HOUR_MS / 4));
    expect(hoursWorked(worked, START + 5 * HOUR_MS)).toBe(1);
    const later = callAt(HOUR_MS + IDLE_MS, IDLE_MS / 2);
    expect(hoursWorked(sum(worked, later), START + 5 * HOUR_MS)).toBeCloseTo(1 + 1 / 6);
  });

  it('leave out the time between one run and a later one', () => {
    const worked = sum(callAt(HOUR_MS, HOUR_MS), callAt(100 * HOUR_MS, HOUR_MS));
    expect(hoursWorked(worked, START + 500 * HOUR_MS)).toBe(2);
  });

  it('go on while the next reply is waited for', () => {
    const worked = callAt(HOUR_MS, HOUR_MS);
    expect(hoursWorked(worked, START + HOUR_MS + 360_000)).toBeCloseTo(1.1);
    expect(hoursWorked(NOTHING_SPENT, START)).toBe(0);
  });
});

test('an unpriced call is counted as such, and by its estimated tokens for a cap', () => {
  const price = { input: 1000, output: 10_000 };
  const estimated = toTotal(toSpendLine(null, undefined, { price }));
  expect(estimated).toMatchObject({ costUsd: 0, unpricedCalls: 1, estimatedUsd: 0.2 });
  const unknown = toTotal(toSpendLine(null));
  expect(unknown).toMatchObject({ costUsd: 0, unpricedCalls: 1, estimatedUsd: 0 });
  expect(knownCost(unknown)).toBeNull();
  expect(knownCost(sum(unknown, toTotal(toSpendLine(2))))).toBe(2);
});
