/**
 * The activity attempts of this process, and those that the server waits for in vain, handed on at once instead of after a
 * timeout. Their results are in the store.
 */

import type { Context } from '@temporalio/activity';
import { ApplicationFailure, ActivityNotFoundError } from '@temporalio/client';
import type { ActivityInterceptors } from '@temporalio/worker';
import type { Attempts } from '../domain/store.ts';

/** A failed orphan is dispatched again after this. */
const HAND_OVER_MS = 100;

/** What is read of an activity's context. */
interface Running {
  info: Pick<Context['info'], 'activityId' | 'activityType' | 'taskToken' | 'workflowExecution'>;
}

/** An activity by its token, or by its workflow and id. */
type ActivityReference = Uint8Array | { workflowId: string; runId: string; activityId: string };

/** What is asked of a client: to end activities. */
interface Completions {
  activity: { fail(activity: ActivityReference, error: unknown): Promise<void> };
}

/** Activities that run in this worker. */
export type RunningActivities = Set<string>;

/** Names an activity among all. */
export function activityKey(runId: string, activityId: string): string {
  return `${runId}/${activityId}`;
}

/** Enters every activity attempt of this worker for as long as it runs. */
export function trackAttempts(attempts: Attempts, running: RunningActivities) {
  return ({ info }: Running): ActivityInterceptors => ({
    inbound: {
      async execute(input, next) {
        const attempt = {
          activity: info.activityType,
          workflowId: info.workflowExecution?.workflowId ?? '',
          taskToken: Buffer.from(info.taskToken).toString('base64'),
        };
        const key = activityKey(info.workflowExecution?.runId ?? '', info.activityId);
        running.add(key);
        try {
          const leave = await attempts.enter(attempt);
          try {
            return await next(input);
          } finally {
            await leave();
          }
        } finally {
          running.delete(key);
        }
      },
    },
  });
}

/** Fails the attempts that dead processes of this host left behind; returns how many were still waited for. */
export async function handOverOrphans(client: Completions, attempts: Attempts): Promise<number> {
  let handedOver = 0;
  for (const { attempt, strikeOff } of await attempts.orphans()) {
    const why = `the worker ended in the middle of ${attempt.activity}`;
    const token = Buffer.from(attempt.taskToken, 'base64');
    if (await handOver(client, token, why)) handedOver += 1;
    await strikeOff();
  }
  return handedOver;
}

/** Fails an attempt, so that it is dispatched again; returns whether the server still waited for it. */
export async function handOver(
  client: Completions,
  activity: ActivityReference,
  message: string,
): Promise<boolean> {
  const failure = ApplicationFailure.create({
    type: 'WorkerRestarted',
    message,
    nextRetryDelay: HAND_OVER_MS,
  });
  try {
    await client.activity.fail(activity, failure);
    return true;
  } catch (error) {
    // Ended, timed out, cancelled or taken over meanwhile.
    if (error instanceof ActivityNotFoundError) return false;
    throw error;
  }
}
