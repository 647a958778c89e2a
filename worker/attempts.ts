/**
 * Attempts that the server waits for in vain, handed on at once instead of after a timeout: those of a dead predecessor, and
 * those whose end could not be told because the server was away. Their results are in the store.
 */

import type { Context } from '@temporalio/activity';
import { ApplicationFailure, ActivityNotFoundError, type Client } from '@temporalio/client';
import type { ActivityInterceptors } from '@temporalio/worker';
import type { Attempt, Attempts } from '../domain/store.ts';

/** A failed orphan is dispatched again after this. */
const HAND_OVER_MS = 100;
const ASK_EVERY_MS = 2_000;
/** The SDK tries for 10 s to tell the server of an end. */
const TOLD_MS = 15_000;

/** What is read of an activity's context. */
interface Running {
  info: Pick<Context['info'], 'activityType' | 'taskToken' | 'workflowExecution'>;
}

/** What is asked of a client: to end activities by their tokens. */
interface Completions {
  activity: { fail(taskToken: Uint8Array, error: unknown): Promise<void> };
}

/** Attempts that have ended, with the time, oldest first. */
export type EndedAttempts = Map<Attempt, number>;

/** Enters every activity attempt of this worker for as long as it runs, and then among the ended ones. */
export function trackAttempts(attempts: Attempts, ended: EndedAttempts) {
  return ({ info }: Running): ActivityInterceptors => ({
    inbound: {
      async execute(input, next) {
        const attempt = {
          activity: info.activityType,
          workflowId: info.workflowExecution?.workflowId ?? '',
          taskToken: Buffer.from(info.taskToken).toString('base64'),
        };
        const leave = await attempts.enter(attempt);
        try {
          return await next(input);
        } finally {
          ended.set(attempt, Date.now());
          await leave();
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
    if (await handOver(client, attempt, why)) handedOver += 1;
    await strikeOff();
  }
  return handedOver;
}

/**
 * Asks the server whether it is there; when it is again after it was away, fails the attempts whose end it may not have been
 * told. One that it knows of is not waited for any more. Returns the function that ends the watch.
 */
export function watchServer(client: Client, ended: EndedAttempts): () => void {
  let wasAway = false;
  async function look(): Promise<void> {
    try {
      await client.connection.withDeadline(Date.now() + ASK_EVERY_MS, () =>
        client.workflowService.getSystemInfo({}),
      );
      for (const [attempt, endedAt] of ended) {
        if (wasAway) {
          await handOver(client, attempt, `the server was away when ${attempt.activity} ended`);
        } else if (Date.now() - endedAt < TOLD_MS) break;
        ended.delete(attempt);
      }
      wasAway = false;
    } catch {
      wasAway = true;
    }
  }
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const lookAgain = () => {
    if (!isStopped) timer = setTimeout(() => void look().finally(lookAgain), ASK_EVERY_MS);
  };
  lookAgain();
  return () => {
    isStopped = true;
    clearTimeout(timer);
  };
}

// --- internal ---

/** Fails an attempt, so that it is dispatched again; returns whether the server still waited for it. */
async function handOver(
  client: Completions,
  { taskToken }: Attempt,
  message: string,
): Promise<boolean> {
  const failure = ApplicationFailure.create({
    type: 'WorkerRestarted',
    message,
    nextRetryDelay: HAND_OVER_MS,
  });
  try {
    await client.activity.fail(Buffer.from(taskToken, 'base64'), failure);
    return true;
  } catch (error) {
    // Ended, timed out, cancelled or taken over meanwhile.
    if (error instanceof ActivityNotFoundError) return false;
    throw error;
  }
}
