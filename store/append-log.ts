/** A file of JSON lines that only grows: an appended line survives kill -9 at once and a power cut after half a second. */

import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { attempt, makeFolder } from './files.ts';

const SYNC_MS = 500;

export interface AppendLog {
  append(value: unknown): Promise<void>;
  /** Everything appended is on the disk; the next append opens the file again. */
  close(): Promise<void>;
}

export function createAppendLog(path: string): AppendLog {
  let file: Promise<FileHandle> | undefined;
  let syncing: NodeJS.Timeout | undefined;
  let broken: unknown;

  return {
    async append(value) {
      await attempt(path, async () => {
        // A failed sync means that the disk lost lines: nothing more is acknowledged.
        if (broken !== undefined) throw broken;
        file ??= makeFolder(dirname(path)).then(() => open(path, 'a', 0o600));
        const handle = await file.catch((error: unknown) => {
          file = undefined;
          throw error;
        });
        await handle.appendFile(`${JSON.stringify(value)}\n`);
        syncing ??= setTimeout(() => {
          syncing = undefined;
          handle.datasync().catch((error: unknown) => (broken = error));
        }, SYNC_MS);
      });
    },

    async close() {
      clearTimeout(syncing);
      syncing = undefined;
      const handle = await file;
      file = undefined;
      await attempt(path, async () => {
        await handle?.datasync();
        await handle?.close();
      });
    },
  };
}
