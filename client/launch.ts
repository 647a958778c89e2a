/** Brings up what a batch needs, and starts it: server, worker, batch workflow. */

import type { Client } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import { batchWorkflowId, MAIN_QUEUE, ROLLOUT_QUEUE, verifyWorkflowId } from '../domain/ids.ts';
import type { FailedChoice } from '../domain/outcome.ts';
import type { BatchRecord } from '../domain/store.ts';
import { isGoneFromHere, readIdentity } from '../store/owner.ts';
import {
  type BatchInput,
  resizeSignal,
  resumeSignal,
  type VerifyProgress,
  type VerifyRun,
} from '../workflows/messages.ts';
import {
  connectClient,
  existingServer,
  findEmbeddedServer,
  requireFreePorts,
  type Server,
  startEmbeddedServer,
  usualPort,
} from './server.ts';
import { requireEngine } from './containers.ts';
import { isWorkerRunning, startWorker } from './worker.ts';
import { DEFAULT_WINDOW } from './window.ts';
import type { Workspace } from './workspace.ts';

/** Of a worker's last poll; a poll lasts a minute at most. */
const HEARD_OF_MS = 90_000;

/** temporal.api.enums.v1.TaskQueueType */
const QUEUE_TYPES = { workflow: 1, activity: 2 } as const;

export interface ServerOptions {
  /** `host:port` of a server that runs already. */
  temporal?: string | undefined;
  port?: number | undefined;
  slots?: number | undefined;
}

export interface Running {
  server: Server;
  client: Client;
}

/**
 * Looks whether `bringUp` can do its work, and starts nothing: the server that is there answers, else its ports are free; the
 * engine answers where a worker has to be started. Throws CliError.
 */
export async function checkGround(workspace: Workspace, options: ServerOptions): Promise<void> {
  const { running } = await look(workspace, options);
  await running?.client.connection.close();
}

/** A server that answers and a worker on its queues: started here where there is none. Throws CliError. */
export async function bringUp(
  workspace: Workspace,
  options: ServerOptions,
  notify: (line: string) => void,
): Promise<Running> {
  const { running, needsWorker } = await look(workspace, options);
  const { client, server } = running ?? (await startServer(workspace, options, notify));
  if (needsWorker) {
    const { slots } = options;
    const settings = { ...server, ...(slots !== undefined && { slots }) };
    if (await startWorker(workspace, settings)) notify(`worker started for ${workspace.store}`);
  }
  return { server, client };
}

/** The server that runs for a workspace; undefined when none answers. */
export async function findRunning(
  workspace: Workspace,
  { temporal }: ServerOptions,
): Promise<Running | undefined> {
  const server = existingServer(temporal, process.env) ?? findEmbeddedServer(workspace.state);
  if (server === undefined) return undefined;
  return { server, client: await connectClient(server, process.env) };
}

/**
 * Starts the batch workflow; a running one takes notice of new samples and goes on if it was paused. Of the samples that failed,
 * those in `again` start again, or all.
 */
export async function startBatch(
  client: Client,
  { id, repository }: BatchRecord,
  window: number | undefined,
  again?: FailedChoice,
): Promise<void> {
  const input: BatchInput = { batchId: id, repository, window: window ?? DEFAULT_WINDOW };
  const handle = await client.workflow.signalWithStart('batchWorkflow', {
    taskQueue: MAIN_QUEUE,
    workflowId: batchWorkflowId(id),
    args: [input],
    signal: resumeSignal,
    signalArgs: again === undefined ? [] : [again],
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    workflowTaskTimeout: '5s',
    staticSummary: `batch ${id} of ${repository}`,
    typedSearchAttributes: batchAttributes(id, repository),
  });
  if (window !== undefined) await handle.signal(resizeSignal, window);
}

/** Starts the verification of a batch; one that runs is replaced, because it may be about other settings. */
export async function startVerify(client: Client, { id, repository }: BatchRecord) {
  const input: VerifyRun = { batchId: id };
  return client.workflow.start<(run: VerifyRun) => Promise<VerifyProgress>>('verifyWorkflow', {
    taskQueue: MAIN_QUEUE,
    workflowId: verifyWorkflowId(id),
    args: [input],
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    workflowIdConflictPolicy: 'TERMINATE_EXISTING',
    workflowTaskTimeout: '5s',
    staticSummary: `verification of batch ${id} of ${repository}`,
    typedSearchAttributes: batchAttributes(id, repository),
  });
}

/** Workers that poll both queues of a namespace, on whatever host. */
export async function countWorkers(
  { workflowService }: Client,
  namespace: string,
): Promise<number> {
  const queues = [
    { taskQueue: { name: MAIN_QUEUE }, taskQueueType: QUEUE_TYPES.workflow },
    { taskQueue: { name: ROLLOUT_QUEUE }, taskQueueType: QUEUE_TYPES.activity },
  ];
  const answers = await Promise.all(
    queues.map((queue) => workflowService.describeTaskQueue({ namespace, ...queue })),
  );
  const counts = answers.map(
    ({ pollers }) => new Set(pollers?.filter(isAlive).map(({ identity }) => identity)).size,
  );
  return Math.min(...counts);
}

// --- internal ---

/** What runs for a workspace; checks that the rest can be started. */
async function look(
  workspace: Workspace,
  options: ServerOptions,
): Promise<{ running: Running | undefined; needsWorker: boolean }> {
  const running = await findRunning(workspace, options);
  try {
    if (running === undefined) await requireFreePorts(portOf(workspace, options));
    const isOurs = running === undefined || running.server.ui !== undefined;
    const needsWorker =
      isOurs || (await countWorkers(running.client, running.server.namespace)) === 0;
    if (needsWorker && !isWorkerRunning(workspace)) await requireEngine();
    return { running, needsWorker };
  } catch (error) {
    await running?.client.connection.close();
    throw error;
  }
}

async function startServer(
  workspace: Workspace,
  options: ServerOptions,
  notify: (line: string) => void,
): Promise<Running> {
  const port = portOf(workspace, options);
  const server = await startEmbeddedServer(workspace.state, port, notify);
  notify(`server started at ${server.address}`);
  return { server, client: await connectClient(server, process.env) };
}

function portOf({ state }: Workspace, { port }: ServerOptions): number {
  return port ?? usualPort(state);
}

/** The server names a worker for minutes after its last poll, and a poll lasts one at most. */
function isAlive({ identity, lastAccessTime }: Poller): boolean {
  const owner = readIdentity(identity ?? '');
  if (owner !== undefined && isGoneFromHere(owner)) return false;
  return Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1000 < HEARD_OF_MS;
}

/** temporal.api.taskqueue.v1.PollerInfo */
interface Poller {
  identity?: string | null;
  lastAccessTime?: { seconds?: { toString(): string } | null } | null;
}

function batchAttributes(batchId: string, repository: string) {
  return [
    { key: defineSearchAttributeKey('TwinpatchBatch', 'KEYWORD'), value: batchId },
    { key: defineSearchAttributeKey('TwinpatchRepo', 'KEYWORD'), value: repository.slice(0, 200) },
  ];
}
