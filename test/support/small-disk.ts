/** A small file system that only the processes on it see, so that nothing has to be unmounted. */

import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openNamespaces } from './namespaces.ts';

export interface SmallDisk {
  /** Of the first process that sees it. */
  pid: number;
  /** Comes before a command that is to see it. */
  wrap: string[];
  /** Where this process finds a path of such a command. */
  seenFromHere(path: string): string;
  /** To the last block. */
  fill(): Promise<void>;
  /** Undoes `fill`. */
  free(): void;
  /** For when none of its processes is left. */
  close(): Promise<void>;
}

/**
 * Mounts one over a folder, which is made where it is missing; `size` as mount takes it. `more` are further namespaces that its
 * processes have, as unshare is told.
 */
export async function mountSmallDisk(
  folder: string,
  size: string,
  more: string[] = [],
): Promise<SmallDisk> {
  mkdirSync(folder, { recursive: true });
  // What a process that is killed leaves in the shared memory is to go too.
  const mount = 'mount -t tmpfs -o size="$2" none "$1" && mount -t tmpfs none /dev/shm';
  const { pid, close } = await openNamespaces(['--mount', ...more], mount, [folder, size]);
  const seenFromHere = (path: string) => join(`/proc/${pid}/root`, path);
  const ballast = seenFromHere(join(folder, 'ballast'));
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials'];
  return {
    pid,
    wrap: ['nsenter', '--target', String(pid), '--mount', ...more.filter(isEntered), ...asRoot],
    seenFromHere,
    async fill() {
      await promisify(execFile)('sh', ['-c', 'cat /dev/zero >"$1" 2>&- || true', 'sh', ballast]);
    },
    free: () => rmSync(ballast, { force: true }),
    close,
  };
}

// --- internal ---

/** Of what unshare is told, the kinds of namespaces that nsenter knows by the same name. */
const isEntered = (option: string) => ['--net', '--pid'].includes(option);
