/** Prepared images that go through the store: this engine stands for those of several hosts, which had to load what others made. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';

import { DEFAULT_IMAGE } from '../../domain/config.ts';
import type { ImageSpec } from '../../domain/ports.ts';
import { connectEngine } from '../../sandbox/engine.ts';
import { createImages, findImage, preparedTag } from '../../sandbox/image.ts';
import { createReaper } from '../../sandbox/reaper.ts';
import { openStore } from '../../store/open.ts';
import { LIMITS, toTar, uniqueName } from '../support/sandbox-fixture.ts';

const installation = uniqueName('shared');
const engine = await connectEngine();
const reaper = createReaper({ engine, installation });
const folder = await mkdtemp(join(tmpdir(), 'twinpatch-store-'));
const store = await openStore(folder);
const signal = new AbortController().signal;

const spec: ImageSpec = {
  key: 'one-key',
  base: { image: DEFAULT_IMAGE },
  snapshot: async () => toTar({ 'a.txt': 'a\n' }),
  setup: [],
  limits: LIMITS,
  setupTimeoutMs: 60_000,
};
const tag = preparedTag(installation, spec.key);
/** A host that has made or loaded nothing yet. */
const host = () => createImages(engine, { installation, shared: store.images });
const loseImages = async () => reaper.removeImages((await reaper.listImages()).map(({ id }) => id));

afterAll(async () => {
  await loseImages();
  await rm(folder, { recursive: true, force: true });
});

it('is on every host the one that was made first', async () => {
  const { imageId } = await host().prepare(spec, signal);

  // One that a host had made by itself, before it heard of the other.
  await loseImages();
  const own = await createImages(engine, { installation }).prepare(spec, signal);
  expect(own.imageId).not.toBe(imageId);
  expect(await host().prepare(spec, signal)).toMatchObject({ imageId });
  expect(await findImage(engine, tag)).toBe(imageId);

  await loseImages();
  await host().obtain(imageId, spec.key);
  expect(await findImage(engine, tag)).toBe(imageId);
});

it('is not there for hosts that share none, or when it is another', async () => {
  const { imageId } = await host().prepare(spec, signal);
  await loseImages();
  const alone = createImages(engine, { installation });
  await expect(alone.obtain(imageId, spec.key)).rejects.toThrow('TWINPATCH_SHARE_IMAGES');
  const other = `sha256:${'0'.repeat(64)}`;
  await expect(host().obtain(other, spec.key)).rejects.toThrow('not on this host');
});
