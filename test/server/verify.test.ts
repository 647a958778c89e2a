/** A finished batch that is verified anew, on a real server: every sample once, whatever ends on the way. */

import { setTimeout as sleep } from 'node:timers/promises';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { failure } from '../../activities/failures.ts';
import { runStage } from '../../activities/stage.ts';
import { verifyBatch } from '../../client/verify-batch.ts';
import { bundleWorkflows } from '../../worker/build-bundle.ts';
import { toBatch } from '../support/batch-fixture.ts';
import { createFakeBatch, createGate, startFakeWorker } from '../support/fake-stages.ts';
import { recordHistory } from '../support/record-history.ts';
import { startTestServer, type TestServer } from '../support/temporal-server.ts';

const PLANNED = 70;
const BROKEN = 40;

let server: TestServer;
let code: string;
beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  [code, server] = await Promise.all([bundleWorkflows(), startTestServer()]);
});
afterAll(() => server?.close());

test('what can be verified is, what can not be is told, and a second start does what the first has left', async () => {
  const batch = createFakeBatch(PLANNED, () => ({}));
  const done = new Set<string>();
  const gate = createGate();
  let isCut = false;
  const verify = batch.rollouts.verify;
  batch.rollouts.verify = (input) =>
    runStage('verifying', async ({ signal }) => {
      if (input.sampleKey === batch.manifest[BROKEN]) {
        throw failure('StoreCorrupt', 'blobs/ab/cd: this content is missing');
      }
      if (done.size === 20) {
        isCut = true;
        await gate.wait(signal);
      }
      done.add(input.sampleKey);
      return verify(input);
    });
  const loadUnverified = batch.main.loadUnverified;
  batch.main.loadUnverified = async (input) => {
    const page = await loadUnverified(input);
    const samples = page.samples.filter(({ sampleKey }) => !done.has(sampleKey));
    return { ...page, samples, known: page.samples.length - samples.length };
  };
  const stop = await startFakeWorker(server.connection, code, batch);
  const record = toBatch('again', 'store');
  const start = () => verifyBatch(server.client, record, () => {}, new AbortController().signal);
  const first = start().catch((error: unknown) => error);
  while (!isCut) await sleep(20);
  const second = start();
  expect(await first).toMatchObject({
    exitCode: 1,
    message: expect.stringContaining('begun anew elsewhere') as string,
  });
  gate.open();
  const { verified, known, ...rest } = (await second) ?? {};
  expect(rest).toEqual({
    batch: 'again',
    failed: 1,
    skipped: 0,
    reasons: [`${batch.manifest[BROKEN]}: blobs/ab/cd: this content is missing`],
  });
  expect(known).toBeGreaterThanOrEqual(20);
  expect(Number(verified) + Number(known)).toBe(PLANNED - 1);
  expect(done.size).toBe(PLANNED - 1);

  expect(await start()).toMatchObject({ verified: 0, known: PLANNED - 1, failed: 1 });
  await recordHistory(server.client, 'verify/again', 'verify-batch');
  await stop();
});

test('whoever turns away is let go, and it goes on', async () => {
  const batch = createFakeBatch(1, () => ({}));
  const gate = createGate();
  let isDone = false;
  const verify = batch.rollouts.verify;
  batch.rollouts.verify = async (input) => {
    await gate.wait(new AbortController().signal);
    isDone = true;
    return verify(input);
  };
  const stop = await startFakeWorker(server.connection, code, batch);
  const turnedAway = new AbortController();
  const verifying = verifyBatch(
    server.client,
    toBatch('left', 'store'),
    () => {},
    turnedAway.signal,
  );
  setTimeout(() => turnedAway.abort(), 500);
  expect(await verifying).toBeUndefined();
  gate.open();
  await server.client.workflow.getHandle('verify/left').result();
  expect(isDone).toBe(true);
  await stop();
});
