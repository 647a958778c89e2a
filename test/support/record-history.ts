/**
 * Histories of workflows as fixtures of the replay tests. `TWINPATCH_RECORD_HISTORIES=1 npx vitest run --project system test/server`
 * writes them anew; do it at a release, and keep the old ones as long as runs of that release may be open.
 */

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FOLDER = fileURLToPath(new URL('../fixtures/histories/', import.meta.url));

/** Writes a workflow's history as `NAME.json` when histories are to be recorded. */
export async function recordHistory(
  client: Client,
  workflowId: string,
  name: string,
  runId?: string,
): Promise<void> {
  if (process.env['TWINPATCH_RECORD_HISTORIES'] === undefined) return;
  const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  mkdirSync(FOLDER, { recursive: true });
  const text = JSON.stringify(JSON.parse(historyToJSON(history)));
  // Nothing of the machine that recorded it.
  const impersonal = text.replaceAll(hostname(), 'host').replaceAll(ROOT, '/');
  writeFileSync(`${FOLDER}${name}.json`, `${impersonal}\n`);
}

/** The recorded histories by name, each as JSON that is read anew. */
export function recordedHistories(): { name: string; read: () => RecordedHistory }[] {
  return readdirSync(FOLDER)
    .sort()
    .map((file) => ({
      name: file.replace('.json', ''),
      read: () => JSON.parse(readFileSync(FOLDER + file, 'utf8')) as RecordedHistory,
    }));
}

export interface RecordedHistory {
  events: Record<string, { activityType?: { name: string } }>[];
}
