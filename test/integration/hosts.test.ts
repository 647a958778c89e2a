/** One batch on one store, by workers of two hosts that share nothing else: any takes any sample, and one that is lost is replaced. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { msToTs } from '@temporalio/common/lib/time.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BatchConfigInput } from '../../domain/config.ts';
import type { RolloutResult } from '../../domain/sample.ts';
import type { Store } from '../../domain/store.ts';
import { examine, rowsOf } from '../chaos/invariants.ts';
import { type Host, startHost } from '../support/host.ts';
import { COMMANDER, createProduct, type Product, until } from '../support/product.ts';
import { startTestServer, type TestServer } from '../support/temporal-server.ts';

const BATCH = 'hosts';
const SAMPLES = 4;
/** Instead of the minute that a host may be silent, for which there is no time here. */
const SILENCE_MS = 3_000;

const config: BatchConfigInput = {
  name: BATCH,
  repository: { source: COMMANDER },
  environment: { memory: '256MiB', maxProcesses: 128 },
  targets: { samples: SAMPLES, seed: 5 },
  teacher: { scripted: { latency: '200ms' } },
  rollout: { maxSteps: 14 },
};

let server: TestServer;
let hosts: Host[];
let undisturbed: Product;
let product: Product;
let store: Store;

beforeAll(async () => {
  [server, undisturbed, product, ...hosts] = await Promise.all([
    startTestServer(),
    createProduct(),
    createProduct(),
    startHost('first'),
    startHost('second'),
  ]);
  undisturbed.configure(config);
  const alone = { DOCKER_HOST: hosts[0]!.engine.host };
  const args = ['run', '--port', String(undisturbed.port), '--json'];
  const undisturbedRun = undisturbed.run(args, alone);

  product.configure(config);
  const on = ['--temporal', server.address];
  const env = { TWINPATCH_SLOTS: '2', TWINPATCH_SAVE_STEPS: '2', TWINPATCH_SHARE_IMAGES: '1' };
  await Promise.all(
    hosts.map((host) => host.startWorker(product, [...on, '--store', storeFolder()], env)),
  );
  // Whoever starts a batch needs no engine where others work.
  const client = { DOCKER_HOST: `unix://${product.folder}/none.sock` };
  expect(await product.run(['run', ...on, '--detach'], client)).toMatchObject({ code: 0 });
  store = await product.store();
  await until('the second is in the middle of a rollout', () => hasSavedTree('second'));
  await hosts[1]!.lose();
  await waitLess();
  expect(await product.run(['resume', BATCH, ...on, '--json'], client)).toMatchObject({ code: 0 });
  expect(await undisturbedRun).toMatchObject({ code: 0 });
}, 300_000);

afterAll(async () => {
  await Promise.all(hosts?.map((host) => host.lose()) ?? []);
  await Promise.all([undisturbed?.close(), product?.close(), server?.close()]);
});

it('every host takes samples, whichever began them', async () => {
  const engines = new Set((await rollouts()).map(({ sandbox }) => sandbox.engine));
  expect(engines).toEqual(new Set(hosts.map(({ engine }) => engine.id)));
});

it('a host that is lost for good loses, doubles and reruns nothing', async () => {
  expect(await examine(store, BATCH, SAMPLES)).toMatchObject({
    lost: 0,
    doubled: 0,
    commandsRerun: 0,
    restored: expect.toSatisfy((count: number) => count > 0) as number,
  });
});

it('makes the very rows of one host', async () => {
  expect(await rowsOf(product, BATCH)).toBe(await rowsOf(undisturbed, BATCH));
});

/** Whether a rollout that the host began has a saved tree, to go on from elsewhere. */
async function hasSavedTree(host: string): Promise<boolean> {
  const leases = join(storeFolder(), 'leases');
  for (const rollout of await readdir(leases).catch(() => [])) {
    const names = await readdir(join(leases, rollout)).catch(() => []); // it may end meanwhile
    if (!names.some((name) => name.endsWith('.tree.gz'))) continue;
    const lease = await readFile(join(leases, rollout, '1.lease'), 'utf8').catch(() => '');
    if (lease.includes(`"host":"${host}"`)) return true;
  }
  return false;
}

function storeFolder(): string {
  return join(product.folder, '.twinpatch/store');
}

async function rollouts(): Promise<RolloutResult[]> {
  const found: RolloutResult[] = [];
  for (const { key: sampleKey } of await store.batches.samples(BATCH, 0, SAMPLES)) {
    for (const name of await store.ledger.names(BATCH, sampleKey)) {
      if (!name.startsWith('rollout-')) continue;
      const result = await store.ledger.get<RolloutResult>({ batchId: BATCH, sampleKey, name });
      if (result !== undefined) found.push(result);
    }
  }
  return found;
}

/** Lets the server give up what is under way after less silence. */
async function waitLess(): Promise<void> {
  const { workflow, workflowService } = server.client;
  const namespace = server.client.options.namespace;
  for await (const { workflowId } of workflow.list({ query: `ExecutionStatus = 'Running'` })) {
    const { raw } = await workflow.getHandle(workflowId).describe();
    for (const { activityId } of raw.pendingActivities ?? []) {
      await workflowService.updateActivityOptions({
        namespace,
        execution: { workflowId },
        id: activityId ?? '',
        activityOptions: { heartbeatTimeout: msToTs(SILENCE_MS) },
        updateMask: { paths: ['heartbeat_timeout'] },
      });
    }
  }
}
