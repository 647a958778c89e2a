/** What changed in a stopped sandbox's repository, as its guest tells it, and the contents. Paths are bytes as latin1. */

import { SandboxLost } from '../domain/ports.ts';
import type { GuestClient } from './guest-client.ts';
import { REQUEST } from './wire.ts';

export type EntryKind = 'file' | 'link' | 'folder' | 'other';

/** An entry that changed, or that lies in a folder that did. */
export interface TreeEntry {
  path: string;
  kind: EntryKind;
  changed: boolean;
  size: number;
}

export interface TreeChanges {
  entries: TreeEntry[];
  /** Folders whose entries all are listed, each with the kinds of its entries by name; '' is the repository. */
  folders: Map<string, Map<string, EntryKind>>;
}

export interface FetchedEntry {
  path: string;
  kind: EntryKind;
  executable: boolean;
  /** Of a file its content, of a link its text, else empty. */
  content: Buffer;
}

const KINDS: Record<string, EntryKind> = { f: 'file', l: 'link', d: 'folder', o: 'other' };
const CHANGED_FOLDER = 'D';
/** Contents that are fetched at once. */
const BATCH_BYTES = 8 * 1024 ** 2;

/** How long a question may take, at the time it is asked, and what to throw where that, or an answer's size, is not enough. */
export interface Patience {
  leftMs(): number;
  onTimeout(): Error;
  onTooMuch(): Error;
}

/** Everything that may have changed, and no `.git` of any folder. */
export function listChanges(
  guest: GuestClient,
  { leftMs, onTimeout, onTooMuch }: Patience,
): Promise<TreeChanges> {
  return guest.ask(
    REQUEST.changes,
    [],
    (body) => {
      const entries: TreeEntry[] = [];
      const folders: TreeChanges['folders'] = new Map();
      while (body.left > 0) {
        const letter = String.fromCharCode(body.u8());
        const changed = body.u8() === 1;
        const size = body.u64();
        const path = body.bytes().toString('latin1');
        if (!isBelow(path) && !(path === '' && letter === CHANGED_FOLDER))
          throw new RangeError(`the path ${JSON.stringify(path)}`);
        if (letter === CHANGED_FOLDER) {
          folders.set(path, new Map());
          continue;
        }
        const kind = KINDS[letter] ?? 'other';
        entries.push({ path, kind, changed, size });
        const { folder, name } = splitPath(path);
        folders.get(folder)?.set(name, kind);
      }
      return { entries, folders };
    },
    { timeoutMs: leftMs(), onTimeout, onTooMuch },
  );
}

/** The contents of entries, in their order. Throws SandboxLost for one that is not what was listed, too: a patch without it would lie. */
export async function fetchEntries(
  guest: GuestClient,
  entries: TreeEntry[],
  maxBytes: number,
  { leftMs, onTimeout, onTooMuch }: Patience,
): Promise<FetchedEntry[]> {
  const fetched: FetchedEntry[] = [];
  for (const batch of toBatches(entries)) {
    const paths = batch.map(({ path }) => ({ text: Buffer.from(path, 'latin1') }));
    const contents = await guest.ask(
      REQUEST.fetch,
      [{ u64: maxBytes }, { u32: paths.length }, ...paths],
      (body) =>
        batch.map(({ path, kind }): FetchedEntry => {
          const found = KINDS[String.fromCharCode(body.u8())] ?? 'not to be read';
          if (found !== kind) {
            throw new SandboxLost(
              `Sandbox ${guest.container.slice(0, 12)} is lost: ${JSON.stringify(path)} was listed as a ${kind}, and then is ${found}.`,
            );
          }
          return { path, kind, executable: body.u8() === 1, content: body.bytes() };
        }),
      { timeoutMs: leftMs(), onTimeout, onTooMuch },
    );
    fetched.push(...contents);
  }
  return fetched;
}

/** A path's folder ('' is the repository), and its name there. */
export function splitPath(path: string): { folder: string; name: string } {
  const at = path.lastIndexOf('/');
  return { folder: at === -1 ? '' : path.slice(0, at), name: path.slice(at + 1) };
}

// --- internal ---

/** Whether a path names something in the repository, as nothing but its own names in order. */
function isBelow(path: string): boolean {
  return path.split('/').every((name) => !['', '.', '..', '.git'].includes(name));
}

function toBatches(entries: TreeEntry[]): TreeEntry[][] {
  const batches: TreeEntry[][] = [];
  let bytes = Infinity;
  for (const entry of entries) {
    bytes += entry.size;
    if (bytes > BATCH_BYTES) {
      batches.push([]);
      bytes = entry.size;
    }
    batches.at(-1)?.push(entry);
  }
  return batches;
}
