/** Brings up what a batch needs, and starts it: server, worker, batch workflow. */

import type { Client } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import { batchWorkflowId, MAIN_QUEUE, ROLLOUT_QUEUE } from '../domain/ids.ts';
import type { BatchRecord } from '../domain/store.ts';
import { type BatchInput, resizeSignal, resumeSignal } from '../workflows/messages.ts';
import {
  connectClient,
  existingServer,
  findEmbeddedServer,
  type Server,
  startEmbeddedServer,
  usualPort,
} from './server.ts';
import { startWorker } from './worker.ts';
import { DEFAULT_WINDOW } from './window.ts';
import type { Workspace } from './workspace.ts';

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

/** A server that answers and a worker on its queues: started here where there is none. Throws CliError. */
export async function bringUp(
  workspace: Workspace,
  { temporal, port, slots }: ServerOptions,
  notify: (line: string) => void,
): Promise<Running> {
  const existing = existingServer(temporal, process.env);
  const known = existing ?? findEmbeddedServer(workspace.state);
  const server =
    known ??
    (await startEmbeddedServer(workspace.state, port ?? usualPort(workspace.state), notify));
  if (known === undefined) notify(`server started at ${server.address}`);
  const client = await connectClient(server, process.env);
  if (existing === undefined || !(await hasWorker(client, server.namespace))) {
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

/** Starts the batch workflow; a running one takes notice of new samples and goes on if it was paused. */
export async function startBatch(
  client: Client,
  { id, repository }: BatchRecord,
  window: number | undefined,
): Promise<void> {
  const input: BatchInput = { batchId: id, repository, window: window ?? DEFAULT_WINDOW };
  const handle = await client.workflow.signalWithStart('batchWorkflow', {
    taskQueue: MAIN_QUEUE,
    workflowId: batchWorkflowId(id),
    args: [input],
    signal: resumeSignal,
    signalArgs: [],
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    workflowTaskTimeout: '5s',
    staticSummary: `batch ${id} of ${repository}`,
    typedSearchAttributes: batchAttributes(id, repository),
  });
  if (window !== undefined) await handle.signal(resizeSignal, window);
}

// --- internal ---

async function hasWorker({ workflowService }: Client, namespace: string): Promise<boolean> {
  const queues = [
    { taskQueue: { name: MAIN_QUEUE }, taskQueueType: QUEUE_TYPES.workflow },
    { taskQueue: { name: ROLLOUT_QUEUE }, taskQueueType: QUEUE_TYPES.activity },
  ];
  const answers = await Promise.all(
    queues.map((queue) => workflowService.describeTaskQueue({ namespace, ...queue })),
  );
  return answers.every(({ pollers }) => (pollers ?? []).length > 0);
}

function batchAttributes(batchId: string, repository: string) {
  return [
    { key: defineSearchAttributeKey('TwinpatchBatch', 'KEYWORD'), value: batchId },
    { key: defineSearchAttributeKey('TwinpatchRepo', 'KEYWORD'), value: repository.slice(0, 200) },
  ];
}
