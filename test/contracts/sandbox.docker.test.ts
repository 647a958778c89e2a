import { afterAll } from 'vitest';

import { connectEngine } from '../../sandbox/engine.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { LIMITS, prepareTree, uniqueName } from '../support/sandbox-fixture.ts';
import { describeSandbox } from './sandbox-contract.ts';
import { describeFiles } from './sandbox-files.ts';
import { describeIsolation } from './sandbox-isolation.ts';

const installation = uniqueName('contract');
const engine = await connectEngine();
const imageId = await prepareTree(engine, installation, {});
const sandboxes = createSandboxes({ engine, installation });
let started = 0;

afterAll(async () => {
  await sandboxes.removeAll();
  await sandboxes.removeImages((await sandboxes.listImages()).map(({ id }) => id));
  await sandboxes.removeVolumes();
});

const start = () =>
  sandboxes.start(
    {
      imageId,
      limits: LIMITS,
      epoch: 1,
      labels: { batch: 'b', sample: 's', rollout: `b/s/rollout-1.${++started}` },
    },
    new AbortController().signal,
  );

describeSandbox('a sandbox in Docker', start);
describeFiles('files of a sandbox in Docker', start);
describeIsolation('a sandbox in Docker as a wall', start);
