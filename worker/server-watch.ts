/**
 * Attempts that got lost on their way to a worker, or with their end untold, because the server or the worker went away: handed
 * on at once, instead of after their timeout.
 */

import { Client, Connection, type ConnectionOptions } from '@temporalio/client';
import pLimit from 'p-limit';
import { MAIN_QUEUE } from '../domain/ids.ts';
import {
  isGoneFromHere,
  type Owner,
  readIdentity,
  thisProcess,
  toIdentity,
} from '../store/owner.ts';
import { activityKey, handOver, type RunningActivities } from './attempts.ts';

/** No server starts in less, so none is away unseen. */
const ASK_EVERY_MS = 500;
const ANSWER_MS = 2_000;
/** Looks for lost attempts once it is there. What is on its way here at one look has arrived at the next. */
const LOOKS = 3;
const LOOK_EVERY_MS = 1_500;
const DESCRIBED_AT_ONCE = 8;
/** temporal.api.enums.v1.PendingActivityState */
const STARTED = 2;

/**
 * Fails the attempts that the server gave to this process and that do not run in it, or to one of this host that is gone: now,
 * and when the server is back after it was away. Returns the function that ends the watch.
 */
export async function watchServer(
  options: ConnectionOptions,
  namespace: string,
  running: RunningActivities,
): Promise<() => Promise<void>> {
  const connection = await Connection.connect({
    ...options,
    interceptors: [], // the usual one asks again, until the server is back and nothing of it was seen
    channelArgs: { 'grpc.max_reconnect_backoff_ms': ANSWER_MS },
  });
  const client = new Client({ connection, namespace });
  let looksLeft = LOOKS;
  let suspects = new Set<string>();
  async function look(): Promise<number> {
    try {
      await connection.withDeadline(Date.now() + ANSWER_MS, () =>
        connection.workflowService.getSystemInfo({}),
      );
      if (looksLeft === 0) return ASK_EVERY_MS;
      suspects = await handOverLost(client, running, suspects);
      looksLeft -= 1;
      return LOOK_EVERY_MS;
    } catch {
      looksLeft = LOOKS;
      suspects = new Set();
      return ASK_EVERY_MS;
    }
  }
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const lookAgain = (afterMs: number) => {
    if (!isStopped) timer = setTimeout(() => void look().then(lookAgain), afterMs);
  };
  lookAgain(0);
  return async () => {
    isStopped = true;
    clearTimeout(timer);
    await connection.close();
  };
}

// --- internal ---

/** Fails those of the suspects that still do not run here; returns who is suspect now: an attempt may be on its way here. */
async function handOverLost(
  client: Client,
  running: RunningActivities,
  suspects: Set<string>,
): Promise<Set<string>> {
  const limit = pLimit(DESCRIBED_AT_ONCE);
  const found = new Set<string>();
  const looks: Promise<void>[] = [];
  const query = `TaskQueue = '${MAIN_QUEUE}' AND ExecutionStatus = 'Running'`;
  for await (const { workflowId, runId } of client.workflow.list({ query })) {
    looks.push(limit(() => lookAt(workflowId, runId)));
  }
  await Promise.all(looks);
  return found;

  async function lookAt(workflowId: string, runId: string): Promise<void> {
    const { raw } = await client.workflow.getHandle(workflowId, runId).describe();
    for (const { activityId, state, attempt, lastWorkerIdentity } of raw.pendingActivities ?? []) {
      const owner = readIdentity(lastWorkerIdentity ?? '');
      if (!activityId || Number(state) !== STARTED || owner === undefined) continue;
      const key = activityKey(runId, activityId);
      if (isThisProcess(owner) && running.has(key)) continue;
      const suspect = `${key}/${attempt}`;
      if (isGoneFromHere(owner) || suspects.has(suspect)) {
        const why = 'its worker went away, or the server when the attempt was on its way there';
        await handOver(client, { workflowId, runId, activityId }, why);
      } else if (isThisProcess(owner)) found.add(suspect);
    }
  }
}

function isThisProcess(owner: Owner): boolean {
  return toIdentity(owner) === toIdentity(thisProcess());
}
