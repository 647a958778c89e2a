/** What is kept for this user whichever project asks. */

import { homedir } from 'node:os';
import { join } from 'node:path';

export function cacheFolder(env: NodeJS.ProcessEnv): string {
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'twinpatch');
}

/** The folder for our own git directories. */
export function sourceCacheFolder(env: NodeJS.ProcessEnv): string {
  return join(cacheFolder(env), 'sources');
}
