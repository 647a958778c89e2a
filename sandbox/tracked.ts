/** The pristine tree: what of it is gone is found by the folders that changed, without a look at the rest. Paths are bytes as latin1. */

import { splitPath, type TreeChanges } from './tree.ts';

/** By folder ('' is the repository), what is in it by name: a file's or link's size, or FOLDER. */
export type TrackedTree = Map<string, Map<string, number>>;

export interface TrackedFile {
  path: string;
  size: number;
}

const FOLDER = -1;

/** Of what `git ls-tree -r -l -z` prints. */
export function parseTracked(listing: string): TrackedTree {
  const tree: TrackedTree = new Map([['', new Map()]]);
  for (const line of listing.split('\0')) {
    const at = line.indexOf('\t');
    if (at === -1) continue;
    const size = Number(line.slice(line.lastIndexOf(' ', at) + 1, at));
    const { folder, name } = splitPath(line.slice(at + 1));
    entriesOf(tree, folder).set(name, Number.isNaN(size) ? 0 : size);
  }
  return tree;
}

export function isTracked(tree: TrackedTree, path: string): boolean {
  const { folder, name } = splitPath(path);
  const size = tree.get(folder)?.get(name);
  return size !== undefined && size !== FOLDER;
}

/** The files and links that the changes leave no more where, or what, they were. */
export function findGone(tree: TrackedTree, { folders }: TreeChanges): TrackedFile[] {
  const gone: TrackedFile[] = [];
  for (const [folder, listed] of folders) {
    for (const [name, size] of tree.get(folder) ?? []) {
      const path = folder === '' ? name : `${folder}/${name}`;
      const kind = listed.get(name);
      if (size === FOLDER) {
        if (kind !== 'folder') takeBelow(tree, path, gone);
      } else if (kind !== 'file' && kind !== 'link') {
        gone.push({ path, size });
      }
    }
  }
  return gone;
}

// --- internal ---

/** Made where it is missing, with the folders it is in. */
function entriesOf(tree: TrackedTree, folder: string): Map<string, number> {
  const known = tree.get(folder);
  if (known !== undefined) return known;
  const entries = new Map<string, number>();
  tree.set(folder, entries);
  const parent = splitPath(folder);
  entriesOf(tree, parent.folder).set(parent.name, FOLDER);
  return entries;
}

function takeBelow(tree: TrackedTree, folder: string, gone: TrackedFile[]): void {
  for (const [name, size] of tree.get(folder) ?? []) {
    const path = `${folder}/${name}`;
    if (size === FOLDER) takeBelow(tree, path, gone);
    else gone.push({ path, size });
  }
}
