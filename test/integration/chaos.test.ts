/** The short version of `npm run chaos`: every kind of fault in random order. */

import { beforeAll, expect, it } from 'vitest';
import { isFault, KINDS } from '../chaos/faults.ts';
import { type ChaosRun, runChaos } from '../chaos/run-chaos.ts';
import { count } from '../support/counts.ts';

const FAULTS = count(40, 500);
let run: ChaosRun;

beforeAll(async () => {
  const kinds = Object.keys(KINDS).filter(isFault);
  run = await runChaos({ faults: FAULTS, seed: 7, kinds }, (line) => console.log(line));
}, 7_200_000);

it(`loses no sample, doubles none and reruns no command under ${FAULTS} faults`, () => {
  expect(Object.values(run.report.faults).reduce((sum, times) => sum + times, 0)).toBe(FAULTS);
  expect(Math.min(...Object.values(run.report.faults))).toBeGreaterThan(0);
  expect(run.report).toMatchObject({ lost: 0, doubled: 0, commandsRerun: 0 });
});

it('makes the very rows of undisturbed batches', () => {
  expect(run.report.datasetEqual).toBe(true);
});

it('buys no more again than the faults explain, and goes on from saved trees', () => {
  expect(run.report.repliesRebought).toBeLessThanOrEqual(run.repliesExplained);
  expect(run.restored).toBeGreaterThan(0);
});

it('leaves nothing behind', () => {
  expect(run.report.leaks).toBe(0);
});
