/** Durable primitives of the file system: write once, replace whole, read if there. */

import { createHash, randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { StoreUnavailable } from '../domain/store.ts';

/** Temporary files start with this; a listing leaves them out. */
export const TEMPORARY = '.tmp-';

/**
 * Writes a file that must not exist yet; returns false, and writes nothing, when it does.
 * On the disk, name and content, when it returns. A half-written file is never seen under the name.
 */
export async function writeOnce(path: string, content: string | Uint8Array): Promise<boolean> {
  return attempt(path, async () => {
    const temporary = await writeTemporary(path, content);
    try {
      // link, not rename: rename would overwrite the first writer's file.
      await link(temporary, path);
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return false;
      throw error;
    } finally {
      await rm(temporary, { force: true });
    }
    await syncFolder(dirname(path));
    return true;
  });
}

/** Writes or replaces a file; readers see the old or the new content, never a part. */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  await attempt(path, async () => {
    const temporary = await writeTemporary(path, content);
    await rename(temporary, path);
    await syncFolder(dirname(path));
  });
}

export async function readIfThere(path: string): Promise<Buffer | undefined> {
  return attempt(path, () => readFile(path).catch(whenMissing(undefined)));
}

/** What a file holds from an offset on, or the last bytes for a negative one; so many at most. */
export async function readFromIfThere(
  path: string,
  offset: number,
  maxBytes = Number.POSITIVE_INFINITY,
): Promise<Buffer | undefined> {
  return attempt(path, async () => {
    const file = await open(path, 'r').catch(whenMissing(undefined));
    if (file === undefined) return undefined;
    try {
      const { size } = await file.stat();
      const start = offset < 0 ? Math.max(0, size + offset) : offset;
      const length = Math.max(0, Math.min(size - start, maxBytes));
      const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, start);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  });
}

/** Names in a folder, sorted; none when it is missing. */
export async function listFolder(path: string): Promise<string[]> {
  const names = await attempt(path, () => readdir(path).catch(whenMissing<string[]>([])));
  return names.filter((name) => !isTemporary(name)).sort();
}

/** Names of the files in a folder; none when it is missing. */
export async function listFiles(path: string): Promise<string[]> {
  const entries = await attempt(path, () =>
    readdir(path, { withFileTypes: true }).catch(whenMissing([])),
  );
  return entries.flatMap((entry) =>
    entry.isFile() && !isTemporary(entry.name) ? [entry.name] : [],
  );
}

/** Writes a new file, on the disk when it returns; returns the SHA-256 of its content, in hex. */
export async function writeAll(path: string, stream: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of stream) {
      hash.update(chunk);
      await file.writeFile(chunk);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

/** Whether a name is one of a file that is being written, or was when its writer died. */
export function isTemporary(name: string): boolean {
  return name.startsWith(TEMPORARY);
}

export async function makeFolder(path: string): Promise<void> {
  // Not `recursive`: that says ENOENT where the file system is read-only.
  try {
    await makeOneFolder(path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
    await makeFolder(dirname(path));
    await makeOneFolder(path);
  }
}

/** The names in a folder are on the disk. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export async function removeTree(path: string): Promise<void> {
  await attempt(path, () => rm(path, { recursive: true, force: true }));
}

/** Runs an operation on a path; trouble of the disk becomes StoreUnavailable with a reason and a next step. */
export async function attempt<T>(path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    const reason = REASONS[codeOf(error) ?? ''];
    if (reason === undefined) throw error;
    throw new StoreUnavailable(`${path}: ${reason}`, { cause: error });
  }
}

// --- internal ---

const REASONS: Record<string, string | undefined> = {
  ENOSPC: 'the disk of the store is full; free some space, the work goes on by itself',
  EDQUOT: 'the disk quota of the store is used up; raise it, the work goes on by itself',
  EROFS: 'the store is on a read-only file system; make it writable, the work goes on by itself',
  EACCES: 'no permission to use the store; give it to the user of this process',
  EPERM: 'no permission to use the store; give it to the user of this process',
  EIO: 'the disk of the store reports an error; check it',
  EMFILE: 'too many open files; raise the limit (ulimit -n)',
};

async function makeOneFolder(path: string): Promise<void> {
  try {
    // 0700: a store holds private code.
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return;
    throw error;
  }
  // What is durable in a folder is lost with the folder's own name.
  await syncFolder(dirname(path));
}

async function writeTemporary(path: string, content: string | Uint8Array): Promise<string> {
  await makeFolder(dirname(path));
  const temporary = join(dirname(path), `${TEMPORARY}${basename(path)}-${randomUUID()}`);
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  return temporary;
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

function hasCode(error: unknown, code: string): boolean {
  return codeOf(error) === code;
}

function whenMissing<T>(fallback: T): (error: unknown) => T {
  return (error) => {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return fallback;
    throw error;
  };
}
