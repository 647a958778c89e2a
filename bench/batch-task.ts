/**
 * A worker that runs one batch to its end, and nothing else: `batch-task.ts ADDRESS KIND SAMPLES WINDOW` prints what it took as a
 * line of JSON. `ours` is our batch with stages that do nothing, on a store in a folder; `peer` the least a batch can be.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import {
  bundleWorkflowCode,
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
} from '@temporalio/worker';
import { batchWorkflowId, MAIN_QUEUE, NAMESPACE } from '../domain/ids.ts';
import { bundleWorkflows } from '../worker/build-bundle.ts';
import { measureHistories } from '../test/support/histories.ts';
import { openStubbedBatch } from '../test/support/stubbed-batch.ts';

const MEMORY_EVERY_MS = 500;

const [address = '', kind = '', ...rest] = process.argv.slice(2);
const [samples = 0, window = 0] = rest.map(Number);

Runtime.install({ logger: new DefaultLogger('ERROR') });
const connection = await NativeConnection.connect({ address });
const client = new Client({
  connection: await Connection.connect({ address }),
  namespace: NAMESPACE,
});
const name = `${kind}-${samples}-${Date.now()}`;
const folder = await mkdtemp(join(tmpdir(), 'twinpatch-bench-'));
try {
  const figures = kind === 'ours' ? await runOurs() : await runPeer();
  process.stdout.write(`${JSON.stringify(figures)}\n`);
} finally {
  await connection.close();
  await client.connection.close();
  await rm(folder, { recursive: true, force: true });
}

// --- internal ---

async function runOurs() {
  const batch = await openStubbedBatch(folder, name, samples, client);
  const stop = await batch.startWorkers(connection, await bundleWorkflows());
  const memory = watchMemory();
  const seconds = await timed(async () => {
    const handle = await client.workflow.start('batchWorkflow', {
      taskQueue: MAIN_QUEUE,
      workflowId: batchWorkflowId(name),
      args: [{ batchId: name, repository: 'example', window }],
    });
    await handle.result();
  });
  const memoryMiB = memory();
  const { operations } = batch;
  const histories = await measureHistories(client, name, await batch.keys());
  await stop();
  return { seconds, memoryMiB, operationsPerSample: operations() / samples, ...histories };
}

async function runPeer() {
  const { code } = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('peers/no-op-workflows.ts', import.meta.url)),
    logger: new DefaultLogger('ERROR'),
  });
  const worker = await Worker.create({
    connection,
    namespace: NAMESPACE,
    taskQueue: name,
    workflowBundle: { code },
    activities: { nothing: () => Promise.resolve() },
  });
  const running = worker.run();
  const memory = watchMemory();
  const seconds = await timed(() =>
    client.workflow.execute('noOpBatch', {
      taskQueue: name,
      workflowId: name,
      args: [samples, window],
    }),
  );
  worker.shutdown();
  await running;
  return { seconds, memoryMiB: memory() };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1000;
}

/** Returns what tells the memory that was in use at most, in MiB. */
function watchMemory(): () => number {
  let most = 0;
  const look = () => (most = Math.max(most, process.memoryUsage.rss()));
  const timer = setInterval(look, MEMORY_EVERY_MS);
  return () => {
    clearInterval(timer);
    look();
    return Math.round(most / 2 ** 20);
  };
}
