/** Namespaces of the system with a first process: what is mounted or runs in them is gone with it. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { until } from './product.ts';

export interface Namespaces {
  /** Of the first process, for nsenter. */
  pid: number;
  close(): Promise<void>;
}

/**
 * Makes them by what unshare is told, and runs a shell command there before it returns, with `args` as `$1` and so on. Throws
 * where they can't be had.
 */
export async function openNamespaces(
  options: string[],
  prepare: string,
  args: string[] = [],
): Promise<Namespaces> {
  const isRoot = process.getuid?.() === 0;
  const asRoot = isRoot ? [] : ['--user', '--map-root-user'];
  // It waits for a line that never comes, and ends with this process; bash, since that reaps what its namespace leaves behind.
  const script = `${prepare} && echo ready && exec >&- && read -r`;
  const keeper = spawn('unshare', [...asRoot, ...options, 'bash', '-c', script, 'bash', ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(keeper, 'exit');
  await Promise.race([
    once(keeper.stdout, 'data'),
    ended.then(() => {
      throw new Error(`no namespaces by unshare ${options.join(' ')}: some need root`);
    }),
  ]);
  const pid = options.includes('--fork') ? childOf(keeper.pid ?? 0) : (keeper.pid ?? 0);
  return {
    pid,
    async close() {
      keeper.kill('SIGKILL');
      await ended;
      await until('the namespaces are empty', async () => !existsSync(`/proc/${pid}`));
    },
  };
}

/** The only child of a process; 0 where it has none. */
export function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
}
