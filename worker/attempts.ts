/** Attempts under way, so that a worker that comes back hands those of its dead predecessor on at once instead of waiting for timeouts. */

import type { Context } from '@temporalio/activity';
import { ApplicationFailure, ActivityNotFoundError, type Client } from '@temporalio/client';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import type { Attempts } from '../domain/store.ts';

/** A failed orphan is dispatched again after this. */
const HAND_OVER_MS = 100;

/** Enters every activity attempt of this worker for as long as it runs. */
export function trackAttempts(attempts: Attempts): ActivityInterceptorsFactory {
  return ({ info }: Context) => ({
    inbound: {
      async execute(input, next) {
        const leave = await attempts.enter({
          activity: info.activityType,
          workflowId: info.workflowExecution?.workflowId ?? '',
          taskToken: Buffer.from(info.taskToken).toString('base64'),
        });
        try {
          return await next(input);
        } finally {
          await leave();
        }
      },
    },
  });
}

/** Fails the attempts that dead processes of this host left behind; returns how many were still waited for. */
export async function handOverOrphans(client: Client, attempts: Attempts): Promise<number> {
  let handedOver = 0;
  for (const { attempt, strikeOff } of await attempts.orphans()) {
    const { activity, taskToken } = attempt;
    const failure = ApplicationFailure.create({
      type: 'WorkerRestarted',
      message: `the worker ended in the middle of ${activity}`,
      nextRetryDelay: HAND_OVER_MS,
    });
    try {
      await client.activity.fail(Buffer.from(taskToken, 'base64'), failure);
      handedOver += 1;
    } catch (error) {
      // Timed out, cancelled or taken over meanwhile.
      if (!(error instanceof ActivityNotFoundError)) throw error;
    }
    await strikeOff();
  }
  return handedOver;
}
