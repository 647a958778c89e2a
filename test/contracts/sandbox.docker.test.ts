import { afterAll } from 'vitest';

import { connectEngine } from '../../sandbox/engine.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { LIMITS, prepareTree, uniqueName } from '../support/sandbox-fixture.ts';
import { describeSandbox } from './sandbox-contract.ts';

const installation = uniqueName('contract');
const engine = await connectEngine();
const imageId = await prepareTree(engine, installation, {});
const sandboxes = createSandboxes({ engine, installation });
let started = 0;

afterAll(async () => {
  await sandboxes.removeAll();
  await sandboxes.removeImages([imageId]);
});

describeSandbox('a sandbox in Docker', {
  start: () =>
    sandboxes.start(
      {
        imageId,
        limits: LIMITS,
        labels: { batch: 'b', sample: 's', rollout: `b/s/rollout-1.${++started}` },
      },
      new AbortController().signal,
    ),
  isolated: true,
});
