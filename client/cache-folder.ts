/** What is kept for this user whichever project asks: git directories of sources. */

import { homedir } from 'node:os';
import { join } from 'node:path';

/** The folder for our own git directories. */
export function sourceCacheFolder(env: NodeJS.ProcessEnv): string {
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'twinpatch', 'sources');
}
