import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { connectEngine } from '../../sandbox/engine.ts';
import { createImageUses } from '../../sandbox/image-uses.ts';
import { createImages } from '../../sandbox/image.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { LIMITS, prepareTree, uniqueName } from '../support/sandbox-fixture.ts';

const installation = uniqueName('uses');
const engine = await connectEngine();
const sandboxes = createSandboxes({ engine, installation });
const signal = new AbortController().signal;
let folder: string;
let images: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twinpatch-uses-'));
  images = [];
  for (const name of ['one', 'two', 'three', 'four'])
    images.push(
      await prepareTree(engine, installation, { name }, { key: `${installation}-${name}` }),
    );
});

afterAll(async () => {
  await sandboxes.removeAll();
  await sandboxes.removeImages(images);
  await sandboxes.removeVolumes();
  await rm(folder, { recursive: true, force: true });
});

describe('a budget for images', () => {
  it('lets the ones used longest ago go, and none that has a sandbox or is in use', async () => {
    const [one = '', two = '', three = '', four = ''] = images;
    const uses = (maxBytes: number, inUseMs: number) =>
      createImageUses(sandboxes, { folder, maxBytes, inUseMs });
    const labels = { batch: 'b', sample: 's', rollout: 'b/s/rollout-1.1' };
    const sandbox = await sandboxes.start(
      { imageId: two, limits: LIMITS, epoch: 1, labels },
      signal,
    );
    for (const image of [two, three, four, one]) {
      await uses(0, 0).touch(image);
      await sleep(20);
    }
    const ids = async () => (await sandboxes.listImages()).map(({ id }) => id).sort();
    const bytes = (await sandboxes.listImages())[0]?.bytes ?? 0;

    expect(await uses(1e15, 0).evict()).toEqual([]);
    expect(await uses(0, 3600_000).evict()).toEqual([]); // every one was used within the hour
    const evicted = await uses(Math.round(2.5 * bytes), 0).evict();
    expect(evicted.map(({ id }) => id)).toEqual([three, four]);
    expect(await ids()).toEqual([one, two].sort());
    expect(await readdir(folder)).toHaveLength(2);

    expect((await uses(0, 0).evict()).map(({ id }) => id)).toEqual([one]);
    expect(await ids()).toEqual([two]);
    await sandbox.close();
  });

  it('leaves the one that a rollout has just begun with, however long ago it was prepared', async () => {
    const [begun = '', other = ''] = await Promise.all(
      ['five', 'six'].map((name) =>
        prepareTree(engine, installation, { name }, { key: `${installation}-${name}` }),
      ),
    );
    images.push(begun, other);
    await sleep(3000);
    const uses = createImageUses(sandboxes, { folder, maxBytes: 0, inUseMs: 2000 });
    await createImages(engine, { installation, uses }).obtain(begun, 'five');
    const evicted = (await uses.evict()).map(({ id }) => id);
    expect(evicted).toContain(other);
    expect(evicted).not.toContain(begun);
  });
});
