/** What a batch left in its server's histories. */

import type { Client } from '@temporalio/client';
import { batchWorkflowId, sampleWorkflowId } from '../../domain/ids.ts';

const LOOKED_AT = 50;

export interface HistoryFigures {
  /** Of a sample alone, the mean of some. */
  eventsPerSample: number;
  bytesPerSample: number;
  /** Of the batch's own runs. */
  parentEventsPerSample: number;
  /** The longest of them. */
  parentEvents: number;
  parentBytes: number;
}

/** Counts the events of a batch that has ended, and those of samples spread over it. */
export async function measureHistories(
  client: Client,
  batchId: string,
  keys: string[],
): Promise<HistoryFigures> {
  const each = Math.max(1, Math.floor(keys.length / LOOKED_AT));
  const chosen = keys.filter((_, index) => index % each === 0);
  const sizes = await Promise.all(
    chosen.map((key) => sizeOf(client, sampleWorkflowId(batchId, key))),
  );
  const parents = await Promise.all(
    (await runsOf(client, batchWorkflowId(batchId))).map((runId) =>
      sizeOf(client, batchWorkflowId(batchId), runId),
    ),
  );
  const mean = (values: number[]) => sum(values) / values.length;
  return {
    eventsPerSample: mean(sizes.map(({ events }) => events)),
    bytesPerSample: mean(sizes.map(({ bytes }) => bytes)),
    parentEventsPerSample: sum(parents.map(({ events }) => events)) / keys.length,
    parentEvents: Math.max(...parents.map(({ events }) => events)),
    parentBytes: Math.max(...parents.map(({ bytes }) => bytes)),
  };
}

// --- internal ---

function sum(values: number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

async function sizeOf(client: Client, workflowId: string, runId?: string) {
  const { historyLength, historySize = 0 } = await client.workflow
    .getHandle(workflowId, runId)
    .describe();
  return { events: historyLength, bytes: historySize };
}

/** Run ids from the last to the first: the server's list of workflows is behind by a moment. */
async function runsOf(client: Client, workflowId: string): Promise<string[]> {
  const runs: string[] = [];
  let runId: string | undefined;
  do {
    const { raw } = await client.workflow.getHandle(workflowId, runId).describe();
    const execution = raw.workflowExecutionInfo;
    runs.push(execution?.execution?.runId ?? '');
    runId = await continuedFrom(client, workflowId, runs.at(-1) ?? '');
  } while (runId !== undefined);
  return runs;
}

async function continuedFrom(
  client: Client,
  workflowId: string,
  runId: string,
): Promise<string | undefined> {
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: 1,
  });
  const started = history?.events?.[0]?.workflowExecutionStartedEventAttributes;
  return started?.continuedExecutionRunId || undefined;
}
