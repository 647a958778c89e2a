/** Room on the disk that an engine writes to, and the reserve that is kept of it. */

import { statfs } from 'node:fs/promises';

import { EngineUnavailable } from '../domain/ports.ts';
import type { Engine } from './engine.ts';

/** Room on a disk, or of it. */
export interface DiskSpace {
  bytes: number;
  /** Inodes. */
  files: number;
}

/** Enough for what runs to end cleanly. */
export const DISK_RESERVE: DiskSpace = { bytes: 1024 ** 3, files: 20_000 };
const LOOK_EVERY_MS = 1000;

/** Free room on the engine's disk; undefined where that is not this host's to read. */
export async function freeOf(engine: Engine): Promise<DiskSpace | undefined> {
  if (engine.dataFolder === undefined) return undefined;
  const disk = await statfs(engine.dataFolder).catch(() => undefined);
  if (disk === undefined) return undefined;
  // Some file systems have no table of inodes to run out of.
  return { bytes: disk.bavail * disk.bsize, files: disk.files > 0 ? disk.ffree : Infinity };
}

/** What is wrong with the engine's disk, in words; undefined when it has its reserve. */
export function shortageOf(free: DiskSpace, reserve: DiskSpace): string | undefined {
  if (free.bytes < reserve.bytes)
    return `the engine's disk has ${toMebibytes(free.bytes)} MiB left, and ${toMebibytes(reserve.bytes)} MiB are kept free`;
  if (free.files < reserve.files)
    return `the engine's disk has ${free.files} inodes left, and ${reserve.files} are kept free`;
  return undefined;
}

/** Does work as long as the engine's disk has its reserve, else aborts its signal with EngineUnavailable. */
export async function whileRoom<T>(
  engine: Engine,
  reserveOf: () => DiskSpace,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  async function look(): Promise<void> {
    const free = await freeOf(engine);
    const reason = free && shortageOf(free, reserveOf());
    if (reason !== undefined)
      abort.abort(new EngineUnavailable(`No image is prepared: ${reason}.`));
  }
  await look();
  abort.signal.throwIfAborted();
  const looking = setInterval(() => void look(), LOOK_EVERY_MS);
  try {
    return await work(abort.signal);
  } finally {
    clearInterval(looking);
  }
}

// --- internal ---

function toMebibytes(bytes: number): number {
  return Math.floor(bytes / 1024 ** 2);
}
