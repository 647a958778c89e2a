/** Logs that grow on this host's disk and are copied into a bucket as they do. */

import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type AppendLog, createAppendLog } from './append-log.ts';
import { listFiles, readIfThere } from './files.ts';
import { isOfDeadProcess, ownerName, thisProcess } from './owner.ts';

/** Others see what a log holds after so many lines or so much time, whichever comes first. */
export interface CopyLimits {
  everyLines: number;
  everyMs: number;
}

export interface Spool {
  /** Where a log grows. */
  placeOf(path: string): string;
  /** Names of logs in a folder. */
  list(folder: string): Promise<string[]>;
  log(path: string): AppendLog;
  /** Lines of this process, in files of bounded length: each copy takes the whole file again. */
  lines(folder: string): AppendLog;
  /** Copies what this host has of a log. */
  share(path: string): Promise<void>;
  /** Copies what dead processes left, and forgets logs that are gone from the bucket. */
  tidy(hasCopy: (path: string) => Promise<boolean>): Promise<void>;
  /** Copies everything. */
  close(): Promise<void>;
}

const MAX_LINES = 2000;
/** A log without a copy for this long has been removed, not begun. */
const FORGOTTEN_MS = 60 * 60_000;

export function createSpool(
  folder: string,
  put: (path: string, content: Uint8Array) => Promise<void>,
  limits: CopyLimits,
): Spool {
  const placeOf = (path: string) => join(folder, path);
  const linesOf = new Map<string, AppendLog>();
  /** Of the logs that have lines to copy, or are being copied. */
  const copiers = new Map<string, Copier>();

  async function copyFile(path: string): Promise<void> {
    const content = await readIfThere(placeOf(path));
    if (content !== undefined) await put(path, content);
  }

  function copierOf(path: string): Copier {
    const known = copiers.get(path);
    if (known !== undefined) return known;
    const made = createCopier(
      () => copyFile(path),
      limits,
      () => copiers.delete(path),
    );
    copiers.set(path, made);
    return made;
  }

  function openLog(path: string): AppendLog {
    const log = createAppendLog(placeOf(path));
    return {
      async append(value) {
        await log.append(value);
        copierOf(path).count();
      },
      async sync() {
        await log.sync();
        await copierOf(path).copy();
      },
    };
  }

  return {
    placeOf,
    list: (path) => listFiles(placeOf(path)),
    log: openLog,

    lines(path) {
      const known = linesOf.get(path);
      if (known !== undefined) return known;
      const name = `${path}/${ownerName(thisProcess())}`;
      const made = inParts((part) =>
        openLog(part === 1 ? `${name}.jsonl` : `${name}.${part}.jsonl`),
      );
      linesOf.set(path, made);
      return made;
    },

    share: (path) => copierOf(path).copy(),

    async tidy(hasCopy) {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
        () => [],
      );
      for (const entry of entries) {
        if (!entry.isFile() || !entry.name.endsWith('.jsonl')) continue;
        const local = join(entry.parentPath, entry.name);
        const path = local.slice(folder.length + 1);
        if (isOfDeadProcess(entry.name)) {
          await copierOf(path).copy();
          await rm(local, { force: true });
        } else if ((await isForgotten(local)) && !(await hasCopy(path))) {
          await rm(local, { force: true });
        }
      }
    },

    async close() {
      await Promise.all([...copiers.values()].map((copier) => copier.copy()));
    },
  };
}

// --- internal ---

interface Copier {
  /** A line was added. */
  count(): void;
  /** All that is there now is copied. */
  copy(): Promise<void>;
}

function createCopier(
  copyFile: () => Promise<void>,
  { everyLines, everyMs }: CopyLimits,
  onIdle: () => void,
): Copier {
  let lines = 0;
  let timer: NodeJS.Timeout | undefined;
  let turn: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;

  async function copyAfter(before: Promise<void>): Promise<void> {
    await before;
    next = undefined;
    clearTimeout(timer);
    timer = undefined;
    const copied = lines;
    await copyFile();
    lines -= copied;
    if (lines === 0 && next === undefined) onIdle();
  }

  /** One at a time, or an older copy could come after a newer one; who asks meanwhile shares the next. */
  function copy(): Promise<void> {
    if (next !== undefined) return next;
    const mine = copyAfter(turn);
    next = mine;
    // Tried again, but that is no reason to keep a process that has nothing else to do.
    turn = mine.catch(() => void copyLater().unref());
    return mine;
  }

  function copyLater(): NodeJS.Timeout {
    timer ??= setTimeout(() => void copy().catch(() => undefined), everyMs);
    return timer;
  }

  return {
    count() {
      lines += 1;
      if (lines >= everyLines) void copy().catch(() => undefined);
      else copyLater();
    },
    copy,
  };
}

function inParts(open: (part: number) => AppendLog): AppendLog {
  let part = 1;
  let lines = 0;
  let current = open(part);
  return {
    async append(value) {
      if (lines >= MAX_LINES) {
        lines = 0;
        await current.sync();
        current = open(++part);
      }
      lines += 1;
      await current.append(value);
    },
    sync: () => current.sync(),
  };
}

async function isForgotten(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > FORGOTTEN_MS;
}
