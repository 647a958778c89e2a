/** A batch whose store is in a bucket, and whose host is lost in its middle: another one goes on from what had been copied. */

import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findDaemon } from '../../client/daemon.ts';
import type { BatchConfigInput } from '../../domain/config.ts';
import type { Store } from '../../domain/store.ts';
import { connectEngine } from '../../sandbox/engine.ts';
import { createReaper } from '../../sandbox/reaper.ts';
import { findTemporalCli } from '../../scripts/temporal-cli.mjs';
import { openStore } from '../../store/open.ts';
import { examine, rowsOf } from '../chaos/invariants.ts';
import { COMMANDER, createProduct, type Product, until } from '../support/product.ts';
import { type S3Server, startS3Server } from '../support/s3-server.ts';
import { startTestServer, type TestServer } from '../support/temporal-server.ts';

const BATCH = 'moved';
const SAMPLES = 4;

const config: BatchConfigInput = {
  name: BATCH,
  repository: { source: COMMANDER },
  environment: { memory: '256MiB', maxProcesses: 128 },
  targets: { samples: SAMPLES, seed: 5 },
  teacher: { scripted: { latency: '300ms' } },
  rollout: { maxSteps: 14 },
};

let s3: S3Server;
let server: TestServer;
let undisturbed: Product;
let moved: Product;
let store: Store;
let second: Record<string, string>;

/** What a host knows that has nothing but the address of the server and of the store. */
async function hostOf(name: string): Promise<Record<string, string>> {
  const cache = join(moved.folder, name);
  const program = (await findTemporalCli()) ?? '';
  mkdirSync(join(cache, 'twinpatch'), { recursive: true });
  symlinkSync(dirname(program), join(cache, 'twinpatch', 'temporal-1.5.1'));
  return { ...s3.environment, XDG_CACHE_HOME: cache, TWINPATCH_SAVE_STEPS: '2' };
}

beforeAll(async () => {
  [s3, server] = await Promise.all([startS3Server(), startTestServer()]);
  const location = s3.freshLocation();
  undisturbed = await createProduct();
  undisturbed.configure(config);
  const undisturbedRun = undisturbed.run(['run', '--port', String(undisturbed.port), '--json']);

  moved = await createProduct();
  moved.configure({ ...config, store: location });
  const first = await hostOf('first');
  second = await hostOf('second');
  const on = ['--temporal', server.address];
  expect(await moved.run(['run', ...on, '--detach'], first)).toMatchObject({ code: 0 });
  store = await openStore(location, { cacheFolder: join(moved.folder, 'reader') });
  await until('rollouts are under way, and some of their trees are saved', async () => {
    const { calls } = await store.spend.total(BATCH);
    return calls >= SAMPLES * 4;
  });

  const [name = ''] = readdirSync(join(moved.folder, 'first/twinpatch/workspaces'));
  const worker = findDaemon(join(moved.folder, 'first/twinpatch/workspaces', name), 'worker');
  process.kill(worker!.owner.pid, 'SIGKILL');
  const reaper = createReaper({ engine: await connectEngine(), installation: store.id });
  await reaper.removeAll();
  await reaper.removeImages((await reaper.listImages()).map(({ id }) => id));

  const resumed = await moved.run(['resume', BATCH, ...on, '--json'], second);
  expect(resumed).toMatchObject({ code: 0 });
  expect(await undisturbedRun).toMatchObject({ code: 0 });
}, 300_000);

afterAll(async () => {
  await moved?.run(['down'], second);
  await Promise.all([undisturbed?.close(), moved?.close(), server?.close(), s3?.close()]);
});

it('gives every sample one verdict, runs nothing again, and goes on from saved trees', async () => {
  expect(await examine(store, BATCH, SAMPLES)).toMatchObject({
    lost: 0,
    doubled: 0,
    commandsRerun: 0,
    restored: expect.toSatisfy((count: number) => count > 0) as number,
  });
});

it('exports the very rows of an undisturbed run in a folder', async () => {
  expect(await rowsOf(moved, BATCH)).toBe(await rowsOf(undisturbed, BATCH));
});
