/** The short version of `npm run chaos`: every kind of fault, several times, in random order. */

import { beforeAll, expect, it } from 'vitest';
import { type ChaosReport, runChaos } from '../chaos/run-chaos.ts';
import { count } from '../support/counts.ts';

const FAULTS = count(40, 500);
let report: ChaosReport;

beforeAll(async () => {
  report = await runChaos({ faults: FAULTS, seed: 7 }, (line) => console.log(line));
}, 7_200_000);

it(`loses no sample, doubles none and reruns no command under ${FAULTS} faults`, () => {
  expect(Object.values(report.faults).reduce((sum, times) => sum + times, 0)).toBe(FAULTS);
  expect(Math.min(...Object.values(report.faults))).toBeGreaterThan(0);
  expect(report).toMatchObject({ lost: 0, doubled: 0, commandsRerun: 0 });
});

it('makes the very rows of undisturbed batches', () => {
  expect(report.datasetEqual).toBe(true);
});

it('buys no more again than the faults explain, and goes on from saved trees', () => {
  expect(report.repliesRebought).toBeLessThanOrEqual(report.repliesExplained);
  expect(report.restored).toBeGreaterThan(0);
});

it('leaves nothing behind', () => {
  expect(report.leaks).toBe(0);
});
