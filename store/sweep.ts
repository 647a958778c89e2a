/** What interrupted writes left behind. */

import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isTemporary } from './files.ts';

/** No write takes as long. */
const ABANDONED_MS = 60 * 60_000;

/** Removes the temporary files below a folder that no writer can still have. */
export async function sweepTemporaries(folder: string): Promise<void> {
  // A folder may be gone since the listing: its rollout has ended.
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await sweepTemporaries(path);
    else if (isTemporary(entry.name) && (await isAbandoned(path))) await rm(path, { force: true });
  }
}

// --- internal ---

async function isAbandoned(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > ABANDONED_MS;
}
