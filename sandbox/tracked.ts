/** The pristine tree: what of it is gone is found by the folders that changed, without a look at the rest. Paths are bytes as latin1. */

import { splitPath, type TreeChanges } from './tree.ts';

/** By folder ('' is the repository), what is in it by name; links are files here. */
export type TrackedTree = Map<string, Map<string, 'file' | 'folder'>>;

export function toTrackedTree(paths: string[]): TrackedTree {
  const tree: TrackedTree = new Map([['', new Map()]]);
  for (const path of paths) {
    const { folder, name } = splitPath(path);
    entriesOf(tree, folder).set(name, 'file');
  }
  return tree;
}

export function isTracked(tree: TrackedTree, path: string): boolean {
  const { folder, name } = splitPath(path);
  return tree.get(folder)?.get(name) === 'file';
}

/** The files and links that the changes leave no more where, or what, they were. */
export function findGone(tree: TrackedTree, { folders }: TreeChanges): string[] {
  const gone: string[] = [];
  for (const [folder, listed] of folders) {
    for (const [name, was] of tree.get(folder) ?? []) {
      const path = folder === '' ? name : `${folder}/${name}`;
      const is = listed.get(name);
      if (was === 'folder') {
        if (is !== 'folder') takeBelow(tree, path, gone);
      } else if (is !== 'file' && is !== 'link') {
        gone.push(path);
      }
    }
  }
  return gone;
}

/** Sizes by path, of what `git ls-tree -r -l -z` prints. */
export function parseSizes(listing: string): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const line of listing.split('\0')) {
    const at = line.indexOf('\t');
    const size = Number(line.slice(line.lastIndexOf(' ', at) + 1, at));
    if (at !== -1) sizes.set(line.slice(at + 1), Number.isNaN(size) ? 0 : size);
  }
  return sizes;
}

// --- internal ---

/** Made where it is missing, with the folders it is in. */
function entriesOf(tree: TrackedTree, folder: string): Map<string, 'file' | 'folder'> {
  const known = tree.get(folder);
  if (known !== undefined) return known;
  const entries = new Map<string, 'file' | 'folder'>();
  tree.set(folder, entries);
  const parent = splitPath(folder);
  entriesOf(tree, parent.folder).set(parent.name, 'folder');
  return entries;
}

function takeBelow(tree: TrackedTree, folder: string, gone: string[]): void {
  for (const [name, was] of tree.get(folder) ?? []) {
    const path = `${folder}/${name}`;
    if (was === 'folder') takeBelow(tree, path, gone);
    else gone.push(path);
  }
}
