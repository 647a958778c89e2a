/** The sandbox in Docker with a guestd that notices memory errors and undefined behaviour: it finds none in the whole suite. */

import { text } from 'node:stream/consumers';

import tar from 'tar-stream';
import { afterAll } from 'vitest';

import { toEngineLabels } from '../../domain/ids.ts';
import type { PreparedSandbox } from '../../domain/ports.ts';
import { ownName } from '../../sandbox/container.ts';
import { connectEngine, statusOf } from '../../sandbox/engine.ts';
import { toGuestCommand } from '../../sandbox/guest.ts';
import { toGuestMount } from '../../sandbox/guest-volume.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { sanitizedGuest } from '../support/guest-build.ts';
import { DEFAULT_IMAGE } from '../../domain/config.ts';
import { TREE } from '../support/patch-suite.ts';
import { LIMITS, prepareTree, uniqueName } from '../support/sandbox-fixture.ts';
import { describeClosedChanges } from './closed-changes.ts';
import { describeSandbox } from './sandbox-contract.ts';
import { describeFiles } from './sandbox-files.ts';
import { describeIsolation } from './sandbox-isolation.ts';
import { describeSavedTrees } from './saved-tree.ts';

const installation = uniqueName('sanitized');
const engine = await connectEngine();
const volume = await fillVolume();
const imageId = await prepareTree(engine, installation, {});
const patchedId = await prepareTree(engine, installation, TREE, { key: `${installation}-tree` });
const sandboxes = createSandboxes({
  engine,
  installation,
  guest: async () => ({
    command: toGuestCommand(60_000),
    mount: toGuestMount(volume, installation),
  }),
});
let started = 0;

afterAll(async () => {
  await sandboxes.close();
  await sandboxes.removeAll();
  await sandboxes.removeVolumes();
  await sandboxes.removeImages([imageId, patchedId]);
});

describeSandbox('a sandbox whose guest is watched', () => start(imageId));
describeFiles('files behind a guest that is watched', () => start(imageId));
describeIsolation('a wall whose guest is watched', () => start(imageId));
describeSavedTrees('a tree saved by a guest that is watched', () => start(patchedId));

describeClosedChanges('a patch by a guest that is watched holds what was closed', () =>
  start(patchedId),
);

// --- internal ---

/** A sandbox that can't be closed when its guest, or a child of it, has left a report. */
async function start(image: string): Promise<PreparedSandbox> {
  const labels = { batch: 'b', sample: 's', rollout: `b/s/rollout-1.${++started}` };
  const sandbox = await sandboxes.start(
    { imageId: image, limits: LIMITS, epoch: 1, labels },
    new AbortController().signal,
  );
  return {
    ...sandbox,
    async close() {
      const reports = await reportsIn(sandbox.ref.container);
      await sandbox.close();
      if (reports.length > 0) throw new Error(reports.join('\n'));
    },
  };
}

async function reportsIn(container: string): Promise<string[]> {
  try {
    const archive = await engine.docker.getContainer(container).getArchive({ path: '/tmp' });
    const reports: string[] = [];
    for await (const entry of archive.pipe(tar.extract()))
      if (entry.header.name.includes('sanitizer-report')) reports.push(await text(entry));
      else entry.resume();
    return reports;
  } catch (error) {
    if (statusOf(error) === 404) return []; // closed before
    throw error;
  }
}

async function fillVolume(): Promise<string> {
  const Name = ownName(installation, 'guestd-sanitized');
  const Labels = toEngineLabels({ installation, role: 'guest' });
  await engine.docker.createVolume({ Name, Labels });
  const container = await engine.docker.createContainer({
    Image: DEFAULT_IMAGE,
    HostConfig: { Mounts: [toGuestMount(Name, installation, { readOnly: false })] },
  });
  await container.putArchive(sanitizedGuest(), { path: '/.twinpatch' });
  await container.remove({ v: true });
  return Name;
}
