/** The window of a batch and what can be asked of it, with stages that follow a script on a real server. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { batchWorkflowId, MAIN_QUEUE, sampleWorkflowId } from '../../domain/ids.ts';
import type { FailedChoice } from '../../domain/outcome.ts';
import { bundleWorkflows } from '../../worker/build-bundle.ts';
import {
  type BatchEnd,
  type BatchInput,
  cancelSignal,
  pauseSignal,
  progressQuery,
  resizeSignal,
  resumeSignal,
} from '../../workflows/messages.ts';
import {
  budgetReached,
  createFakeBatch,
  createGate,
  type FakeBatch,
  noImage,
  type Script,
  startFakeWorker,
} from '../support/fake-stages.ts';
import { recordHistory } from '../support/record-history.ts';
import { startTestServer, type TestServer } from '../support/temporal-server.ts';

/** Low enough that 40 samples do not fit into one run. */
const SUGGEST_CONTINUE_AS_NEW = 200;

describe('a batch', () => {
  let server: TestServer;
  let code: string;
  const stops: (() => Promise<void>)[] = [];
  let batch: FakeBatch;
  let batchId = '';
  let count = 0;

  beforeAll(async () => {
    Runtime.install({ logger: new DefaultLogger('ERROR') });
    [code, server] = await Promise.all([
      bundleWorkflows(),
      startTestServer({ 'limit.historyCount.suggestContinueAsNew': SUGGEST_CONTINUE_AS_NEW }),
    ]);
  });
  afterEach(() => Promise.all(stops.splice(0).map((stop) => stop())));
  afterAll(() => server?.close());

  const startWorker = async () => {
    stops.push(await startFakeWorker(server.connection, code, batch));
  };

  async function start(samples: number, window: number, scriptOf: (index: number) => Script) {
    batchId = `batch-${(count += 1)}`;
    batch = createFakeBatch(samples, scriptOf);
    await startWorker();
    return startAgain(window);
  }

  async function startAgain(window: number): Promise<Batch> {
    const input: BatchInput = { batchId, repository: 'example', window };
    return server.client.workflow.start('batchWorkflow', {
      taskQueue: MAIN_QUEUE,
      workflowId: batchWorkflowId(batchId),
      args: [input],
    });
  }

  /** As the client does. */
  async function resume(window: number, ...again: [FailedChoice?]): Promise<Batch> {
    return server.client.workflow.signalWithStart('batchWorkflow', {
      taskQueue: MAIN_QUEUE,
      workflowId: batchWorkflowId(batchId),
      args: [{ batchId, repository: 'example', window }],
      signal: resumeSignal,
      signalArgs: again,
    });
  }

  const statusOf = async (key: string) =>
    (await server.client.workflow.getHandle(sampleWorkflowId(batchId, key)).describe()).status.name;
  const verified = (samples: number) => Array.from({ length: samples }, () => 'verified');

  test('runs every sample once, and never more than its window at a time', async () => {
    const handle = await start(20, 4, () => ({ during: () => sleep(20) }));
    expect(await handle.result()).toEqual({ ended: 20, exhausted: false, cancelled: false });
    expect(batch.verdicts()).toEqual(verified(20));
    expect([...batch.checkouts].sort()).toEqual(batch.manifest);
    expect(batch.at.most).toBe(4);
  });

  test('loses and doubles nothing when its history grows long, not even what ended without a verdict', async () => {
    const handle = await start(40, 6, (index) => (index % 5 === 3 ? { checkout: noImage } : {}));
    const first = (await handle.describe()).runId;
    expect(await handle.result()).toEqual({ ended: 40, exhausted: false, cancelled: false });
    const last = await server.client.workflow.getHandle(batchWorkflowId(batchId)).describe();
    expect(last.runId).not.toBe(first);
    expect([...batch.checkouts].sort()).toEqual(batch.manifest);
    expect([...batch.recorded].sort()).toEqual(batch.manifest);
    expect(batch.at.most).toBeLessThanOrEqual(6);
    await recordHistory(server.client, batchWorkflowId(batchId), 'batch-continued-as-new', first);
    await recordHistory(server.client, batchWorkflowId(batchId), 'batch-last-run', last.runId);
  });

  test('starts nothing while it is paused, and goes on after', async () => {
    const gate = createGate();
    const handle = await start(6, 2, () => ({ during: gate.wait }));
    await until(() => batch.running.size === 2);
    await handle.signal(pauseSignal);
    gate.open();
    await until(() => batch.ends.size === 2);
    await until(async () => (await handle.query(progressQuery)).live.length === 0);
    expect(await handle.query(progressQuery)).toMatchObject({ paused: true, ended: 2 });
    expect(await detailsOf(handle)).toContain('paused');
    await sleep(300);
    expect(batch.checkouts).toHaveLength(2);
    await handle.signal(resumeSignal);
    await handle.result();
    expect(batch.verdicts()).toEqual(verified(6));
  });

  test('takes a larger window while it runs', async () => {
    const gate = createGate();
    const handle = await start(6, 1, () => ({ during: gate.wait }));
    await until(() => batch.running.size === 1);
    await handle.signal(resizeSignal, 5);
    await until(() => batch.running.size === 5);
    gate.open();
    await handle.result();
    expect(batch.at.most).toBe(5);
  });

  test('starts no further sample at its budget, and takes the held ones again when asked', async () => {
    let isSpent = true;
    const handle = await start(10, 2, () => ({
      during: () => {
        if (isSpent) budgetReached();
      },
    }));
    expect(await handle.result()).toMatchObject({ exhausted: true });
    const held = batch.verdicts().filter((verdict) => verdict === 'held:budget');
    expect(held.length).toBeGreaterThanOrEqual(1);
    expect(batch.checkouts.length).toBeLessThanOrEqual(4);
    isSpent = false;
    await (await startAgain(4)).result();
    expect(batch.verdicts()).toEqual(verified(10));
  });

  test('takes only the chosen ones again of those that failed, and all that never ended', async () => {
    let isMended = false;
    const troubles = [noImage, budgetReached];
    const handle = await start(8, 2, (index) => ({
      checkout: () => {
        if (!isMended) troubles[index]?.();
      },
    }));
    expect(await handle.result()).toMatchObject({ exhausted: true });
    const [first, second, ...others] = batch.verdicts();
    expect([first, second]).toEqual(['infrastructure:ImageNotFound', 'held:budget']);
    expect(others).toContain('none');
    isMended = true;
    await (await resume(4, { verdicts: ['infrastructure:ImageNotFound'], keys: [] })).result();
    expect(batch.verdicts()).toEqual(['verified', 'held:budget', ...verified(6)]);
  });

  test('lets what runs end when it is drained', async () => {
    const gate = createGate();
    const handle = await start(8, 3, () => ({ during: gate.wait }));
    await until(() => batch.running.size === 3);
    await handle.signal(cancelSignal, 'drain');
    await until(async () => (await handle.query(progressQuery)).draining);
    gate.open();
    expect(await handle.result()).toEqual({ ended: 3, exhausted: false, cancelled: true });
    expect(batch.verdicts().filter((verdict) => verdict === 'verified')).toHaveLength(3);
  });

  test('goes on when it is resumed in the middle of being drained', async () => {
    const gate = createGate();
    const handle = await start(6, 2, () => ({ during: gate.wait }));
    await until(() => batch.running.size === 2);
    await handle.signal(cancelSignal, 'drain');
    await handle.signal(resumeSignal);
    gate.open();
    expect(await handle.result()).toEqual({ ended: 6, exhausted: false, cancelled: false });
    expect(batch.verdicts()).toEqual(verified(6));
  });

  test.each(['signal', 'cancel'])(
    'drops what runs when it is cancelled now, by %s',
    async (how) => {
      const gate = createGate();
      const handle = await start(8, 3, () => ({ during: gate.wait }));
      await until(() => batch.running.size === 3);
      await (how === 'signal' ? handle.signal(cancelSignal, 'now') : handle.cancel());
      expect(await handle.result()).toMatchObject({ cancelled: true });
      expect(batch.ends.size).toBe(0);
      // They report just before they close.
      for (const key of batch.checkouts)
        await until(async () => (await statusOf(key)) === 'CANCELLED');
      gate.open();
      await (await startAgain(8)).result();
      expect(batch.verdicts()).toEqual(verified(8));
    },
  );

  test('looks again, when it is resumed, at a sample that was terminated by hand', async () => {
    const gate = createGate();
    const handle = await start(3, 3, () => ({ during: gate.wait }));
    await until(() => batch.running.size === 3);
    const [terminated = ''] = batch.checkouts;
    await server.client.workflow.getHandle(sampleWorkflowId(batchId, terminated)).terminate();
    batch.at.closed.add(terminated);
    batch.running.delete(terminated);
    await handle.signal(resumeSignal);
    await until(() => batch.checkouts.length === 4);
    batch.at.closed.clear();
    gate.open();
    await handle.result();
    expect(batch.verdicts()).toEqual(verified(3));
  });

  // Once more where it misses: a task that the server hands to a poll just as it ends is out of every worker's reach until its
  // heartbeat times out.
  const again = { retry: 2 };
  test('goes on in seconds in another worker when its own one is told to stop', again, async () => {
    const gate = createGate();
    const handle = await start(6, 2, () => ({ during: gate.wait }));
    await until(() => batch.running.size === 2);
    await stops.pop()?.();
    gate.open();
    const startedAt = Date.now();
    await startWorker();
    await handle.result();
    expect(batch.verdicts()).toEqual(verified(6));
    expect(Date.now() - startedAt).toBeLessThan(20_000);
  });
});

// --- internal ---

type Batch = WorkflowHandle<(input: BatchInput) => Promise<BatchEnd>>;

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not come to pass within 30 s');
    await sleep(20);
  }
}

async function detailsOf(handle: Batch): Promise<string> {
  const metadata = await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata');
  return metadata.currentDetails ?? '';
}
