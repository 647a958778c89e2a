/** A file of JSON lines that only grows: an appended line survives kill -9 at once and a power cut after half a second. */

import { fstatSync, ftruncateSync, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { attempt, makeFolder } from './files.ts';

const SYNC_MS = 500;

export interface AppendLog {
  /** A whole line or nothing. Throws StoreUnavailable, also when an earlier line turned out not to reach the disk. */
  append(value: unknown): Promise<void>;
  /** Everything appended is on the disk. */
  sync(): Promise<void>;
}

/** The file is open only while lines come: a log that is left alone holds nothing after a second. */
export function createAppendLog(path: string): AppendLog {
  let file: FileHandle | undefined;
  let syncing: NodeJS.Timeout | undefined;
  let isDirty = false;
  let lost: unknown;
  let turn: Promise<unknown> = Promise.resolve();

  /** One operation after the other: lines of many rollouts go into one file. */
  function inTurn(operation: () => Promise<void>): Promise<void> {
    const result = turn.then(() => attempt(path, operation));
    turn = result.catch(() => undefined);
    return result;
  }

  /** Brings to the disk what came; the file may stay open where something did. */
  async function flush(mayStayOpen: boolean): Promise<void> {
    clearTimeout(syncing);
    syncing = undefined;
    const handle = file;
    const staysOpen = mayStayOpen && isDirty;
    file = undefined;
    isDirty = false;
    try {
      await handle?.datasync();
      if (!staysOpen) return;
      file = handle;
      syncLater();
    } finally {
      if (file === undefined) await handle?.close();
    }
  }

  function syncLater(): void {
    syncing ??= setTimeout(() => {
      inTurn(() => flush(true)).catch((error: unknown) => (lost = error));
    }, SYNC_MS);
  }

  /** A failed sync is reported by the system only once: whoever comes next must not take the lines for safe. */
  function throwIfLost(): void {
    const error = lost;
    lost = undefined;
    if (error !== undefined) throw error;
  }

  return {
    append: (value) =>
      inTurn(async () => {
        throwIfLost();
        if (file === undefined) {
          await makeFolder(dirname(path));
          file = await open(path, 'a', 0o600);
        }
        writeWhole(file.fd, Buffer.from(`${JSON.stringify(value)}\n`));
        isDirty = true;
        syncLater();
      }),

    sync: () =>
      inTurn(async () => {
        throwIfLost();
        await flush(false);
      }),
  };
}

// --- internal ---

/** Not through the thread pool: into the page cache it takes microseconds, the way through the pool a tenth of a millisecond or more. */
function writeWhole(file: number, bytes: Buffer): void {
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(file, bytes, written);
  } catch (error) {
    // Half a line would take the next one with it.
    if (written > 0) ftruncateSync(file, fstatSync(file).size - written);
    throw error;
  }
}
