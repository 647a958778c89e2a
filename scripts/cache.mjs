import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SetupError } from './setup-error.mjs';

const LOCK_WAIT_MS = 20 * 60_000;

/**
 * What set-up keeps for this user, whichever checkout it runs from.
 * @returns {string}
 */
export function cacheFolder() {
  const folder = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'twinpatch');
  mkdirSync(folder, { recursive: true });
  return folder;
}

/**
 * Does work that must not run twice at once, in any process of this user. Waits for another owner; a dead one doesn't count.
 * @template T
 * @param {string} name
 * @param {(message: string) => void} log
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function exclusively(name, log, work) {
  const lock = join(cacheFolder(), `${name}.lock`);
  const deadline = Date.now() + LOCK_WAIT_MS;
  let announced = false;
  while (!tryLock(lock)) {
    const owner = lockOwner(lock);
    if (owner === undefined) continue;
    if (!isAlive(owner)) {
      rmSync(lock, { force: true });
      continue;
    }
    if (Date.now() > deadline) {
      throw new SetupError(
        `Process ${owner} has held ${lock} for 20 minutes. If that process is not twinpatch, remove the file and try again.`,
      );
    }
    if (!announced) log(`waits for process ${owner}, which does the same (${name})`);
    announced = true;
    await sleep(200);
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

// --- internal ---

/**
 * @param {string} lock
 * @returns {boolean}
 */
function tryLock(lock) {
  // A link makes the lock appear with its owner inside; a file opened first would be empty for a moment.
  const own = `${lock}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    linkSync(own, lock);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
}

/**
 * @param {string} lock
 * @returns {number | undefined}
 */
function lockOwner(lock) {
  try {
    return Number(readFileSync(lock, 'utf8'));
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') return undefined; // released
    throw error;
  }
}

/**
 * @param {number} pid
 * @returns {boolean}
 */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}
