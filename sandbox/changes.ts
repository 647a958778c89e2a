/** Which paths of a stopped container may have changed under the repository, from the engine's own list; nothing of it is the agent's word. */

import { REPOSITORY_PATH } from '../domain/ids.ts';

/** One line of the engine's answer to `changes`: 0 modified, 1 added, 2 deleted. */
export interface EngineChange {
  Path: string;
  Kind: number;
}

/** Paths are relative to the repository, their bytes as latin1. */
export interface TreeChanges {
  /** Added or modified files and links; may hold folders. */
  present: string[];
  /** Deleted files and folders, with everything that was in them. */
  deleted: string[];
  /** Folders with names that are not UTF-8, which the engine's list can't spell: to be looked at entry by entry. */
  unspelled: string[];
}

/** The changes inside the repository, without what belongs to any `.git`. */
export function toTreeChanges(changes: EngineChange[]): TreeChanges {
  const prefix = `${REPOSITORY_PATH}/`;
  const inside = changes
    .filter(({ Path }) => Path.startsWith(prefix))
    .map(({ Path, Kind }) => ({ path: Path.slice(prefix.length), kind: Kind }))
    .filter(({ path }) => !isGitPath(path));
  const unspelled = new Set<string>();
  const spelled = inside.filter(({ path }) => {
    if (!path.includes('\uFFFD')) return true;
    unspelled.add(toBytes(folderOf(path.slice(0, path.indexOf('\uFFFD')))));
    return false;
  });
  const folders = new Set(
    spelled.filter(({ kind }) => kind !== 2).map(({ path }) => folderOf(path)),
  );
  return {
    // A folder that has a listed entry is only listed because of it.
    present: spelled
      .filter(({ path, kind }) => kind !== 2 && !folders.has(path))
      .map(({ path }) => toBytes(path)),
    deleted: spelled.filter(({ kind }) => kind === 2).map(({ path }) => toBytes(path)),
    unspelled: [...unspelled],
  };
}

/** True for `.git` at any level, and all below it. */
export function isGitPath(path: string): boolean {
  return path.split('/').includes('.git');
}

/** The folder of a path, '' for the repository itself. */
export function folderOf(path: string): string {
  const at = path.lastIndexOf('/');
  return at === -1 ? '' : path.slice(0, at);
}

/** The text's UTF-8 bytes as latin1. */
export function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** The text that bytes (as latin1) spell in UTF-8; what is not UTF-8 becomes U+FFFD. */
export function toText(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/**
 * What to ask the engine for to get these paths: few questions, because each takes as long as a small tree. Some paths one by
 * one, more by their first-level folders, and the whole tree ('') when even those are many.
 */
export function toFetches(paths: string[]): string[] {
  if (paths.length <= 6) return paths;
  const tops = [...new Set(paths.map((path) => path.split('/', 1)[0] ?? path))];
  return tops.length <= 24 ? tops : [''];
}
