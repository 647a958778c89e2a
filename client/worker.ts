/** The worker of a workspace: started in the background, found again, stopped. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ServerAddress } from '../worker/connection.ts';
import { findDaemon, lastLines, startDaemon } from './daemon.ts';
import { CliError, EXIT } from './errors.ts';
import type { Workspace } from './workspace.ts';

export const WORKER = 'worker';
const READY_MS = 60_000;

export interface WorkerSettings extends ServerAddress {
  slots?: number;
}

/** Environment of a worker process for this workspace and server. */
export function workerEnvironment(
  workspace: Workspace,
  { address, namespace, slots }: WorkerSettings,
): Record<string, string | undefined> {
  return {
    ...process.env,
    TWINPATCH_STORE: workspace.store,
    TWINPATCH_TEMPORAL: address,
    TWINPATCH_NAMESPACE: namespace,
    ...(slots !== undefined && { TWINPATCH_SLOTS: String(slots) }),
  };
}

/** Whether the worker that was started here for a workspace runs. */
export function isWorkerRunning({ state }: Workspace): boolean {
  return findDaemon(state, WORKER) !== undefined;
}

/** Starts a worker unless one runs for this server; returns whether it was started. Throws CliError with the worker's reason. */
export async function startWorker(
  workspace: Workspace,
  settings: WorkerSettings,
): Promise<boolean> {
  const running = findDaemon(workspace.state, WORKER);
  if (running !== undefined) {
    if (running.facts['address'] === settings.address) return false;
    throw new CliError(
      EXIT.failed,
      `the worker of this store works for ${running.facts['address']} — not for ${settings.address}`,
      { next: 'twinpatch down' },
    );
  }
  const child = startDaemon({
    name: WORKER,
    state: workspace.state,
    program: process.execPath,
    arguments: [workerProgram()],
    environment: workerEnvironment(workspace, settings),
    facts: { address: settings.address, namespace: settings.namespace },
  });
  const answer = await new Promise<{ ready: boolean; message?: string }>((settle) => {
    const timer = setTimeout(
      () => settle({ ready: false, message: 'it was not ready in time' }),
      READY_MS,
    );
    child.once('message', (message) => {
      clearTimeout(timer);
      settle(message as { ready: boolean; message?: string });
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      settle({ ready: false, message: `it ended with code ${code}` });
    });
  });
  if (child.connected) child.disconnect();
  if (!answer.ready) {
    const why = answer.message ?? (await lastLines(workspace.state, WORKER));
    throw new CliError(EXIT.failed, `the worker did not start — ${why}`, {
      next: 'twinpatch doctor; twinpatch down stops a server that was started for it',
    });
  }
  return true;
}

/** The worker's program: compiled beside this file. */
export function workerProgram(): string {
  const path = fileURLToPath(new URL('../worker/process.js', import.meta.url));
  if (!existsSync(path))
    throw new CliError(EXIT.failed, `the worker is not built — ${path} is missing`, {
      next: 'npm run build',
    });
  return path;
}
