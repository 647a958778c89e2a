/** A store in a folder, of this machine or shared by several. */

import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type AppendLog, createAppendLog } from './append-log.ts';
import {
  attempt,
  listFolder,
  makeFolder,
  readFromIfThere,
  readIfThere,
  removeTree,
  replaceFile,
  syncFolder,
  TEMPORARY,
  writeAll,
  writeOnce,
} from './files.ts';
import { ownerName, thisProcess } from './owner.ts';
import type { Storage } from './storage.ts';
import { sweepTemporaries } from './sweep.ts';

export function createFolderStorage(root: string): Storage {
  const at = (path: string) => join(root, path);
  const linesOf = new Map<string, AppendLog>();
  return {
    location: root,
    placeOf: at,
    writeOnce: (path, content) => writeOnce(at(path), content),
    replace: (path, content) => replaceFile(at(path), content),
    writeHashed: (stream, pathOf) => writeHashed(root, stream, (hash) => at(pathOf(hash))),
    read: (path) => readIfThere(at(path)),
    readFrom: async (path, offset, maxBytes) =>
      (await readFromIfThere(at(path), offset, maxBytes)) ?? Buffer.alloc(0),
    stream: async (path) => createReadStream(at(path)),
    has: (path) => hasFile(at(path)),
    list: (folder) => listFolder(at(folder)),
    remove: (path) => attempt(at(path), () => rm(at(path), { force: true })),
    removeTree: (folder) => removeTree(at(folder)),

    async touch(path) {
      const now = new Date();
      await utimes(at(path), now, now).catch(() => replaceFile(at(path), ''));
    },
    async ageMs(path) {
      const found = await stat(at(path)).catch(() => undefined);
      return found && Date.now() - found.mtimeMs;
    },

    log: (path) => createAppendLog(at(path)),
    lines(folder) {
      const path = at(join(folder, `${ownerName(thisProcess())}.jsonl`));
      const log = linesOf.get(path) ?? createAppendLog(path);
      linesOf.set(path, log);
      return log;
    },
    // Whoever shares the folder sees a line as soon as it is written.
    share: async () => {},
    close: async () => {},

    tidy: () => sweepTemporaries(root),
  };
}

// --- internal ---

function hasFile(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function writeHashed(
  root: string,
  stream: AsyncIterable<Uint8Array>,
  placeOf: (sha256: string) => string,
): Promise<string> {
  return attempt(root, async () => {
    await makeFolder(root);
    const temporary = join(root, `${TEMPORARY}${randomUUID()}`);
    try {
      const hash = await writeAll(temporary, stream);
      const path = placeOf(hash);
      await makeFolder(dirname(path));
      await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
      await syncFolder(dirname(path));
      return hash;
    } finally {
      await rm(temporary, { force: true });
    }
  });
}
