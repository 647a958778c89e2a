/** What a sample costs on a real server and store, whatever the size of its batch: counts, which do not depend on the machine. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { batchWorkflowId, MAIN_QUEUE } from '../../domain/ids.ts';
import { bundleWorkflows } from '../../worker/build-bundle.ts';
import { measureHistories } from '../support/histories.ts';
import { openStubbedBatch } from '../support/stubbed-batch.ts';
import { startTestServer, type TestServer } from '../support/temporal-server.ts';

let server: TestServer;
let code: string;
beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  [code, server] = await Promise.all([bundleWorkflows(), startTestServer()]);
});
afterAll(() => server?.close());

test('a sample costs a large batch what it costs a small one, and little', async () => {
  const small = await costOf('small', 15);
  const large = await costOf('large', 60);
  expect(large.events).toBeLessThanOrEqual(60);
  expect(large.bytes).toBeLessThanOrEqual(25_000);
  expect(large.operations).toBeLessThanOrEqual(140);
  for (const figure of ['events', 'bytes', 'operations'] as const) {
    expect(large[figure] / small[figure]).toBeLessThan(1.1);
  }
  expect(large.parentEvents).toBeLessThanOrEqual(12);
});

// --- internal ---

/** Per sample. */
async function costOf(batchId: string, samples: number) {
  const folder = await mkdtemp(join(tmpdir(), 'twinpatch-cost-'));
  const batch = await openStubbedBatch(folder, batchId, samples, server.client);
  const stop = await batch.startWorkers(server.connection, code);
  await server.client.workflow.execute('batchWorkflow', {
    taskQueue: MAIN_QUEUE,
    workflowId: batchWorkflowId(batchId),
    args: [{ batchId, repository: 'example', window: 10 }],
  });
  const operations = batch.operations() / samples;
  const histories = await measureHistories(server.client, batchId, await batch.keys());
  await stop();
  await rm(folder, { recursive: true });
  return {
    operations,
    events: histories.eventsPerSample,
    bytes: histories.bytesPerSample,
    parentEvents: histories.parentEventsPerSample,
  };
}
