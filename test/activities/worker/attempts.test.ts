import { ActivityNotFoundError } from '@temporalio/client';
import type { ActivityInboundCallsInterceptor, Next } from '@temporalio/worker';
import { expect, test } from 'vitest';
import type { Attempt, Attempts } from '../../../domain/store.ts';
import {
  handOverOrphans,
  type RunningActivities,
  trackAttempts,
} from '../../../worker/attempts.ts';

const orphan = (name: string): Attempt => ({
  activity: 'rollout',
  workflowId: `sample/b/${name}`,
  taskToken: Buffer.from(name).toString('base64'),
});

function createAttempts(orphans: Attempt[] = []): Attempts & { entered: Attempt[] } {
  const entered: Attempt[] = [];
  return {
    entered,
    async enter(attempt) {
      entered.push(attempt);
      return async () => void entered.splice(entered.indexOf(attempt), 1);
    },
    orphans: async () =>
      orphans.map((attempt) => ({
        attempt,
        strikeOff: async () => void orphans.splice(orphans.indexOf(attempt), 1),
      })),
    live: async () => entered,
  };
}

test.each(['ends', 'fails'])('an attempt is entered while it runs, until it %s', async (how) => {
  const attempts = createAttempts();
  const info = {
    activityId: '7',
    activityType: 'rollout',
    taskToken: Buffer.from('token'),
    workflowExecution: { workflowId: 'sample/b/1', runId: 'r' },
  };
  const running: RunningActivities = new Set();
  const { inbound } = trackAttempts(attempts, running)({ info });
  const next: Next<ActivityInboundCallsInterceptor, 'execute'> = async () => {
    expect(attempts.entered).toEqual([
      { activity: 'rollout', workflowId: 'sample/b/1', taskToken: 'dG9rZW4=' },
    ]);
    expect([...running]).toEqual(['r/7']);
    if (how === 'fails') throw new Error('it fails');
    return 'done';
  };
  const end = inbound!.execute!({ args: [], headers: {} }, next).catch(
    (error: Error) => error.message,
  );
  expect(await end).toBe(how === 'fails' ? 'it fails' : 'done');
  expect(attempts.entered).toEqual([]);
  expect([...running]).toEqual([]);
});

test('what a dead worker left is failed by its token, to be dispatched again at once', async () => {
  const failed: [string, unknown][] = [];
  const activity = {
    async fail(token: unknown, failure: unknown) {
      const name = Buffer.from(token as Uint8Array).toString();
      if (name === 'stale') throw new ActivityNotFoundError('not found');
      failed.push([name, failure]);
    },
  };
  const attempts = createAttempts([orphan('stale'), orphan('waiting')]);
  const handedOver = await handOverOrphans({ activity }, attempts);
  expect(handedOver).toBe(1);
  expect(failed).toMatchObject([
    ['waiting', { type: 'WorkerRestarted', nonRetryable: false, nextRetryDelay: 100 }],
  ]);
});
