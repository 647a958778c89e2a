/** Which process on which host: what tells a live owner from a dead one. */

import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

export interface Owner {
  host: string;
  pid: number;
  /** Start of the process in clock ticks since boot: a pid used again is another process. */
  started: string;
}

/** A process of this host. */
export function processOf(pid: number): Owner {
  return { host: hostname(), pid, started: startOf(pid) ?? '' };
}

export function thisProcess(): Owner {
  return (self ??= processOf(process.pid));
}

/** Whether the owner is a process of this host that still runs. Says nothing about other hosts. */
export function runsHere(owner: Owner): boolean {
  return owner.host === hostname() && startOf(owner.pid) === owner.started;
}

/** Whether the owner is a process of this host that runs no more. */
export function isGoneFromHere(owner: Owner): boolean {
  return owner.host === hostname() && !runsHere(owner);
}

/** The name under which a Temporal server knows the workers of a process: `<pid>.<started>@<host>`. */
export function toIdentity({ pid, started, host }: Owner): string {
  return `${pid}.${started}@${host}`;
}

/** The process of such a name; undefined for another. */
export function readIdentity(identity: string): Owner | undefined {
  const [, pid, started = '', host = ''] = /^(\d+)\.(\d*)@(.*)$/.exec(identity) ?? [];
  return pid === undefined ? undefined : { pid: Number(pid), started, host };
}

/** Whether the process of such a name runs; undefined for one of another host. */
export function isRunning(identity: string): boolean | undefined {
  const owner = readIdentity(identity);
  return owner?.host === hostname() ? runsHere(owner) : undefined;
}

/** `<host>-<pid>-<started>`: a file name. */
export function ownerName(owner: Owner): string {
  return `${toFileName(owner.host)}-${owner.pid}-${owner.started}`;
}

/** Whether such a name is of a process of this host that runs no more. */
export function isGoneByName(name: string): boolean {
  const [, host, pid, started = ''] = /^(.*)-(\d+)-(\d*)$/.exec(name) ?? [];
  if (host !== toFileName(hostname())) return false;
  return !runsHere({ host: hostname(), pid: Number(pid), started });
}

/** Whether a file of this host, named for its owner, is of one that runs no more; false for a name that is no owner's. */
export function isOfDeadProcess(fileName: string): boolean {
  const [, pid, started] = /-(\d+)-(\d*)(?:\.\d+)?\.jsonl$/.exec(fileName) ?? [];
  if (pid === undefined || started === undefined) return false;
  return !runsHere({ host: hostname(), pid: Number(pid), started });
}

// --- internal ---

function toFileName(host: string): string {
  return host.replaceAll(/[^A-Za-z0-9.]/g, '_');
}

/** Asked for with every paid call, and never another. */
let self: Owner | undefined;

function startOf(pid: number): string | undefined {
  // Without /proc a pid is all there is to know a process by.
  if (process.platform !== 'linux') return isSignallable(pid) ? '' : undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; state is the first field after it, the start time the 20th.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function isSignallable(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
