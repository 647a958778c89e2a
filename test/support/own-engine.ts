/**
 * A Docker engine of its own: in namespaces of network, mounts and processes of its own, its data in memory. Nothing of it meets
 * the engine of this host, and all of it is gone with its first process. Needs root.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { connectEngine } from '../../sandbox/engine.ts';
import { BASE_IMAGE } from '../../scripts/base-image.mjs';
import { lastLines } from '../../scripts/command.mjs';
import { childOf, openNamespaces } from './namespaces.ts';
import { until } from './product.ts';

const NAMESPACES = ['--mount', '--net', '--pid', '--fork', '--mount-proc', '--kill-child'];
/** Folders list their files in the same order on all: the seed of their file systems is one. */
const PREPARE = `
  ip link set lo up && mount -t tmpfs none "$1" && truncate -s 4G "$1/disk" &&
  mkfs.ext4 -q -O ^has_journal -E hash_seed=2f0c1f7e-5f0e-4c55-9a3b-6d1f4b8a7c21 "$1/disk" &&
  mkdir "$1/data" && mount -o loop "$1/disk" "$1/data"`;
const START_MS = 60_000;
/** For the table of those that are given. */
const SPARE_BLOCKS = 1024;

export interface OwnEngine {
  /** For DOCKER_HOST. */
  host: string;
  /** Of dockerd, as this host counts. */
  pid(): number;
  /** kill -9 of dockerd alone: what its containers are is up to the next `start`. */
  kill(): Promise<void>;
  /** Starts dockerd where none runs; without live-restore it ends the containers that it finds. */
  start(options?: { liveRestore: boolean }): Promise<void>;
  /** Its disk, to the last block. */
  fillDisk(): Promise<void>;
  /** Undoes `fillDisk`. */
  freeDisk(): void;
  /** Ends dockerd with everything that it started, at once, as when its host is lost. */
  close(): Promise<void>;
}

/** Starts one that has the base image. */
export async function startOwnEngine(): Promise<OwnEngine> {
  const folder = mkdtempSync(join(tmpdir(), 'twinpatch-engine-'));
  const memory = join(folder, 'memory');
  mkdirSync(memory);
  const host = `unix://${join(folder, 'docker.sock')}`;
  const first = await openNamespaces(NAMESPACES, PREPARE, [memory]);
  const inside = ['--target', String(first.pid), '--mount', '--net', '--pid'];
  const ballast = join(`/proc/${first.pid}/root`, memory, 'data/ballast');
  let daemon: ChildProcess | undefined;

  const engine: OwnEngine = {
    host,

    pid: () => childOf(daemon?.pid ?? 0),

    async kill() {
      const pid = engine.pid();
      const containerd = childOf(pid);
      const ended = once(daemon!, 'exit');
      process.kill(pid, 'SIGKILL');
      daemon?.kill('SIGCONT'); // nsenter stops when dockerd does, and goes on by this alone
      await ended;
      // The next one would take it for its own, though it is about to end.
      await until('containerd is gone', async () => !existsSync(`/proc/${containerd}`));
    },

    async start({ liveRestore } = { liveRestore: true }) {
      const logFile = join(folder, 'dockerd.log');
      const log = openSync(logFile, 'w');
      const files = [
        ...['--data-root', join(memory, 'data'), '--exec-root', join(folder, 'exec')],
        ...['--pidfile', join(folder, 'docker.pid'), '--host', host],
      ];
      const flags = ['--storage-driver=overlay2', ...(liveRestore ? ['--live-restore'] : [])];
      daemon = spawn('nsenter', [...inside, 'dockerd', ...files, ...flags], {
        stdio: ['ignore', log, log],
      });
      closeSync(log);
      const answers = () => connectEngine({ host }).then(Boolean, () => false);
      await until('dockerd answers', answers, START_MS).catch((error: Error) => {
        throw new Error(
          `${error.message}; it says: ${lastLines(readFileSync(logFile, 'utf8'), 5)}`,
        );
      });
    },

    async fillDisk() {
      const { bavail, bsize } = await statfs(dirname(ballast));
      // Blocks that are given and never written take no memory of this host.
      const most = `fallocate --length ${Math.max(1, bavail - SPARE_BLOCKS) * bsize} "$1"`;
      const rest = 'cat /dev/zero >"$1.rest" 2>&-';
      await promisify(execFile)('sh', ['-c', `${most}; ${rest} || true`, 'sh', ballast]);
    },

    freeDisk() {
      for (const file of [ballast, `${ballast}.rest`]) rmSync(file, { force: true });
    },

    async close() {
      await first.close();
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
    },
  };
  try {
    await engine.start();
    await copyBaseImage(host);
  } catch (error) {
    await engine.close();
    throw error;
  }
  return engine;
}

// --- internal ---

async function copyBaseImage(host: string): Promise<void> {
  const copy = 'docker save "$1" | docker --host "$2" load';
  await promisify(execFile)('bash', ['-o', 'pipefail', '-c', copy, 'bash', BASE_IMAGE, host]);
}
