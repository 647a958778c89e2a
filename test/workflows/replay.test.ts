/** Histories of real runs still replay: samples and batches that run now go on under this code. */

import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { beforeAll, expect, test } from 'vitest';
import { bundleWorkflows } from '../../worker/build-bundle.ts';
import { recordedHistories } from '../support/record-history.ts';

let code: string;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  code = await bundleWorkflows();
});

const replay = (history: unknown) => Worker.runReplayHistory({ workflowBundle: { code } }, history);

test.each(recordedHistories())('$name replays', async ({ read }) => {
  await expect(replay(read())).resolves.toBeUndefined();
});

test('stages in another order do not replay', async () => {
  const sample = recordedHistories().find(({ name }) => name === 'sample-first-attempt');
  const history = sample?.read();
  const scheduled = history?.events.flatMap((event) =>
    Object.values(event).filter((attributes) => attributes?.activityType !== undefined),
  );
  const types = scheduled?.map(({ activityType }) => activityType?.name);
  expect(types).toEqual([
    'checkout',
    'rollout',
    'selfCheck',
    'synthesizePr',
    'rollout',
    'verify',
    'recordEnd',
  ]);
  scheduled![2]!.activityType!.name = 'synthesizePr';
  scheduled![3]!.activityType!.name = 'selfCheck';
  await expect(replay(history)).rejects.toThrow(DeterminismViolationError);
});
