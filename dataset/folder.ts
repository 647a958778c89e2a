/** A folder that is replaced whole: readers see the old content or the new, never a part. */

import { mkdir, open, readdir, readlink, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** The export cannot be made as asked; the message says why and what to do. */
export class DatasetError extends Error {
  override readonly name = 'DatasetError';
}

/** What in a folder with these names must not be lost, in words; undefined where all of it may be. */
export type FindForeign = (folder: string, names: string[]) => Promise<string | undefined>;

/**
 * Lets `fill` write files, on the disk when it returns, into a new folder that then becomes `directory`; where `fill` throws,
 * all stays as it was. A link stays, and what it points to is replaced. Throws DatasetError where `findForeign` names something in
 * `directory` that must not be lost, and where it can't be made.
 */
export async function replaceFolder<T>(
  directory: string,
  findForeign: FindForeign,
  fill: (folder: string) => Promise<T>,
): Promise<T> {
  const path = await followLinks(resolve(directory));
  const partial = `${path}.twinpatch-partial`;
  await recoverReplaced(path);
  await refuseForeignFiles(path, findForeign);
  await rm(partial, { recursive: true, force: true });
  await makeFolder(partial).catch((cause: Error) => {
    throw new DatasetError(`${path} can't be made (${cause.message}): choose another folder`, {
      cause,
    });
  });
  try {
    const result = await fill(partial);
    await syncFolder(partial);
    // The export may have taken an hour: somebody can have put a file there meanwhile.
    await refuseForeignFiles(path, findForeign);
    await swap(path, partial);
    return result;
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

// --- internal ---

/** As deep as the kernel follows them. */
const MAX_LINKS = 40;

/** Where links lead, whether or not something is there. */
async function followLinks(path: string): Promise<string> {
  let at = path;
  for (let links = 0; links <= MAX_LINKS; links++) {
    const target = await readlink(at).catch(() => undefined);
    if (target === undefined) return at;
    at = resolve(dirname(at), target);
  }
  throw new DatasetError(`${path} is a link that leads to itself: choose another folder`);
}

/** With the folders above it. Not `recursive`: below /proc, that never ends. */
async function makeFolder(path: string): Promise<void> {
  const make = () =>
    mkdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  await make().catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    await makeFolder(dirname(path));
    await make();
  });
}

function replacedName(path: string): string {
  return `${path}.twinpatch-replaced`;
}

/** Between the two renames of `swap` a crash leaves the earlier content under its other name. */
async function recoverReplaced(path: string): Promise<void> {
  const isThere = await readdir(path).then(
    () => true,
    () => false,
  );
  if (isThere) await rm(replacedName(path), { recursive: true, force: true });
  else await rename(replacedName(path), path).catch(ignoreMissing);
}

async function refuseForeignFiles(path: string, findForeign: FindForeign): Promise<void> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new DatasetError(
      `${path} is no folder that can be written to (${error.message}): choose another one`,
      { cause: error },
    );
  });
  const foreign = names.length === 0 ? undefined : await findForeign(path, names);
  if (foreign === undefined) return;
  throw new DatasetError(
    `${path} holds ${foreign}, which would be lost: choose an empty or a new folder`,
  );
}

async function swap(path: string, replacement: string): Promise<void> {
  await rename(path, replacedName(path)).catch(ignoreMissing);
  await rename(replacement, path);
  await syncFolder(dirname(path));
  await rm(replacedName(path), { recursive: true, force: true });
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
