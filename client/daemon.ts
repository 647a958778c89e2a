/** A background process of ours: started detached with its output in a file, remembered by pid and start time, stopped by signal. */

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Owner, processOf, runsHere } from '../store/owner.ts';

export interface Daemon {
  owner: Owner;
  /** What its starter wants to remember, such as ports. */
  facts: Record<string, string | number>;
}

export interface DaemonCommand {
  /** Name of its record and log in the state folder. */
  name: string;
  state: string;
  program: string;
  arguments: string[];
  environment?: Record<string, string | undefined>;
  facts: Record<string, string | number>;
}

/** Of the descriptors that were open here, a daemon keeps its log and its channel: any other would keep our caller waiting. */
const KEEP_OWN_DESCRIPTORS =
  'for fd in /proc/self/fd/*; do n=${fd##*/}; ((n <= 3)) || eval "exec $n>&-"; done; exec "$@"';

export function logPath(state: string, name: string): string {
  return join(state, `${name}.log`);
}

/** The running daemon of this name, or undefined. */
export function findDaemon(state: string, name: string): Daemon | undefined {
  const daemon = lastDaemon(state, name);
  return daemon !== undefined && runsHere(daemon.owner) ? daemon : undefined;
}

/** The daemon of this name that was started last, whether or not it runs. */
export function lastDaemon(state: string, name: string): Daemon | undefined {
  try {
    return JSON.parse(readFileSync(recordPath(state, name), 'utf8')) as Daemon;
  } catch {
    return undefined;
  }
}

/** Starts a daemon that outlives this process and holds none of its streams. */
export function startDaemon(command: DaemonCommand) {
  const { name, state, facts } = command;
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const log = openSync(logPath(state, name), 'a', 0o600);
  const child = spawn(
    'bash',
    ['-c', KEEP_OWN_DESCRIPTORS, name, command.program, ...command.arguments],
    {
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
      env: command.environment ?? process.env,
      cwd: state,
    },
  );
  closeSync(log);
  if (child.pid !== undefined) {
    const daemon: Daemon = { owner: processOf(child.pid), facts };
    writeFileSync(recordPath(state, name), JSON.stringify(daemon), { mode: 0o600 });
  }
  child.unref();
  return child;
}

/** Asks the daemon to end, and ends it after the grace time. Returns false when none ran. */
export async function stopDaemon(state: string, name: string, graceMs: number): Promise<boolean> {
  const daemon = findDaemon(state, name);
  if (daemon === undefined) return false;
  process.kill(daemon.owner.pid, 'SIGTERM');
  const deadline = performance.now() + graceMs;
  while (runsHere(daemon.owner)) {
    if (performance.now() > deadline) process.kill(daemon.owner.pid, 'SIGKILL');
    await sleep(50);
  }
  return true;
}

/** The last lines of a daemon's log, for error messages. */
export async function lastLines(state: string, name: string, lines = 5): Promise<string> {
  const text = await readFile(logPath(state, name), 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-lines).join('\n');
}

// --- internal ---

function recordPath(state: string, name: string): string {
  return join(state, `${name}.json`);
}
