/** Where a project's state is: the store, and beside it what the embedded server and worker of this host need. */

import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { isBucket, parseBucketLocation } from '../domain/location.ts';
import { cacheFolder } from './cache-folder.ts';
import { CliError, EXIT } from './errors.ts';

export interface Workspace {
  store: string;
  /** Data file, logs and process records of the embedded server and worker. */
  state: string;
}

const FOLDER = '.twinpatch';

/**
 * The workspace of a store: its state is beside it when the store is in a `.twinpatch` folder, and inside it otherwise; that of a
 * bucket is in this user's cache. Throws CliError for a location that is none.
 */
export function workspaceOf(store: string): Workspace {
  if (store.includes('://') && parseBucketLocation(store) === undefined) {
    throw new CliError(
      EXIT.usage,
      `${store} is no store — expected a folder, or s3://bucket/prefix`,
    );
  }
  if (isBucket(store)) {
    const name = store.replace(/^s3:\/\/|\/+$/g, '').replaceAll('/', '~');
    return { store, state: join(cacheFolder(process.env), 'workspaces', name) };
  }
  const path = resolve(store);
  const parent = dirname(path);
  return { store: path, state: basename(parent) === FOLDER ? parent : join(path, 'local') };
}

/**
 * The store that a command means where none is named: `TWINPATCH_STORE`, else `configured`, else the nearest `.twinpatch/store`
 * upward from `cwd`, else the one that would be made in `cwd`.
 */
export function defaultStore(
  cwd: string,
  variables: Record<string, string | undefined>,
  configured?: string,
): string {
  const named = variables['TWINPATCH_STORE'];
  if (named !== undefined && named !== '')
    return named.includes('://') ? named : resolve(cwd, named);
  if (configured !== undefined) return configured;
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const candidate = join(folder, FOLDER, 'store');
    if (existsSync(candidate)) return candidate;
    if (dirname(folder) === folder) return join(resolve(cwd), FOLDER, 'store');
  }
}
