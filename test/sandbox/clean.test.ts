/** What `twinpatch clean` takes out of a real engine, and what it leaves, beside workers and after them. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { cleanEngine } from '../../client/containers.ts';
import type { Store } from '../../domain/store.ts';
import { connectEngine } from '../../sandbox/engine.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { openStore } from '../../store/open.ts';
import { toBatch, toEnd, toSample } from '../support/batch-fixture.ts';
import { LIMITS, prepareTree } from '../support/sandbox-fixture.ts';

const ROLLOUT = 'begun/s/rollout-1.1';
const folder = await mkdtemp(join(tmpdir(), 'twinpatch-clean-'));
const engine = await connectEngine();
let store: Store;
let imageId: string;
let sandboxes: ReturnType<typeof createSandboxes>;

beforeAll(async () => {
  store = await openStore(folder);
  await store.batches.put(toBatch('begun', store.id, { targets: { samples: 1 } }));
  await store.batches.append('begun', [toSample(0)]);
  sandboxes = createSandboxes({ engine, installation: store.id });
  imageId = await prepareTree(engine, store.id, { 'a.txt': 'a\n' });
});

afterAll(async () => {
  await sandboxes.close();
  await sandboxes.removeAll();
  await sandboxes.removeImages([imageId]);
  await sandboxes.removeVolumes();
  await store.close();
  await rm(folder, { recursive: true });
});

const start = (epoch: number) =>
  sandboxes.start(
    { imageId, limits: LIMITS, epoch, labels: { batch: 'begun', sample: 's', rollout: ROLLOUT } },
    new AbortController().signal,
  );
const clean = (options: { dryRun?: boolean; unfinished?: boolean } = {}, of: Store = store) =>
  cleanEngine(of, { dryRun: false, unfinished: false, ...options });
const ofKind = async (cleaned: ReturnType<typeof clean>, kind: string) =>
  (await cleaned).filter((thing) => thing.kind === kind);

describe('clean', () => {
  it('leaves a container that an owner has, and one that waits for its next owner', async () => {
    const lease = await store.leases.take(ROLLOUT);
    const sandbox = await start(lease.epoch);
    expect(await ofKind(clean(), 'container')).toMatchObject([{ inUse: 'in use', removed: false }]);
    await store.leases.release(lease);
    expect(await ofKind(clean(), 'container')).toMatchObject([{ inUse: 'in use', removed: false }]);
    const next = await sandboxes.find(ROLLOUT, (await store.leases.take(ROLLOUT)).epoch, LIMITS);
    expect(next?.ref).toEqual(sandbox.ref);
    await store.leases.settle(ROLLOUT);
    expect(await ofKind(clean(), 'container')).toMatchObject([{ removed: true }]);
  });

  it('asks again at the removal: a container that is taken over meanwhile stays', async () => {
    await start(1);
    let asked = 0;
    const taken: Store = {
      ...store,
      leases: { ...store.leases, ownerOf: async () => (++asked > 1 ? 'live' : 'none') },
    };
    expect(await ofKind(clean({}, taken), 'container')).toMatchObject([{ removed: false }]);
    expect(await sandboxes.list()).toHaveLength(1);
    await sandboxes.removeAll();
  });

  it('keeps images for an unfinished batch, and lets them go when told to, but beside a worker', async () => {
    const kept = [{ id: imageId, inUse: 'kept for batch begun', removed: false }];
    expect(await ofKind(clean(), 'image')).toMatchObject(kept);
    const leave = await store.attempts.enter({
      activity: 'checkout',
      workflowId: 'w',
      taskToken: 't',
    });
    expect(await ofKind(clean({ unfinished: true }), 'image')).toMatchObject(kept);
    await leave();
    expect(await ofKind(clean({ unfinished: true, dryRun: true }), 'image')).toEqual([
      expect.not.objectContaining({ inUse: expect.anything() }),
    ]);
    expect(await ofKind(clean({ unfinished: true }), 'image')).toMatchObject([{ removed: true }]);
    await store.ends.record('begun', toEnd(toSample(0).key));
    imageId = await prepareTree(engine, store.id, { 'a.txt': 'a\n' });
    expect(await ofKind(clean(), 'image')).toMatchObject([{ removed: true }]);
  });
});
