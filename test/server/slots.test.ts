/** Slots of a worker on a real server, set as the product sets it: how many rollouts run at once, and whose. */

import { setTimeout as sleep } from 'node:timers/promises';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { batchWorkflowId, MAIN_QUEUE } from '../../domain/ids.ts';
import { bundleWorkflows } from '../../worker/build-bundle.ts';
import type { BatchInput } from '../../workflows/messages.ts';
import { createFakeBatch, createGate, startFakeWorker } from '../support/fake-stages.ts';
import { startTestServer, type TestServer } from '../support/temporal-server.ts';

let server: TestServer;
let code: string;
beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  [code, server] = await Promise.all([bundleWorkflows(), startTestServer()]);
});
afterAll(() => server?.close());

test('a small batch gets its share beside a large one that came first, and added slots are used at once', async () => {
  let slots = 2;
  let running = 0;
  let most = 0;
  let work: (signal: AbortSignal) => Promise<unknown> = () => sleep(100);
  const during = async (signal: AbortSignal) => {
    running += 1;
    most = Math.max(most, running);
    await work(signal).finally(() => (running -= 1));
  };
  const [large, small] = [
    createFakeBatch(200, () => ({ during })),
    createFakeBatch(50, () => ({ during })),
  ];
  const activities = {
    main: together(large.main, small.main),
    rollouts: together(large.rollouts, small.rollouts),
  };
  const stop = await startFakeWorker(server.connection, code, activities, { slots: () => slots });

  await start('large', 24);
  await until(() => large.recorded.length >= 2);
  const before = large.recorded.length;
  await start('small', 6);
  await until(() => small.recorded.length >= 12);
  // By their windows it would be four of the large one to one of the small one.
  expect(large.recorded.length - before).toBeLessThan(36);
  expect(most).toBe(2);

  const gate = createGate();
  work = gate.wait;
  slots = 5;
  await until(() => running === 5);
  gate.open();
  await stop();
  expect(most).toBe(5);
});

// --- internal ---

async function start(batchId: string, window: number): Promise<void> {
  const input: BatchInput = { batchId, repository: 'example', window };
  await server.client.workflow.start('batchWorkflow', {
    taskQueue: MAIN_QUEUE,
    workflowId: batchWorkflowId(batchId),
    args: [input],
  });
}

/** The activities of both batches in one worker. */
function together<T extends object>(large: T, small: T): T {
  const of = (batchId: string) => (batchId === 'large' ? large : small) as Record<string, Activity>;
  const names = Object.keys(large);
  return Object.fromEntries(
    names.map((name): [string, Activity] => [name, (input) => of(input.batchId)[name]?.(input)]),
  ) as T;
}

type Activity = (input: { batchId: string }) => unknown;

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('it did not come to pass within 30 s');
    await sleep(10);
  }
}
