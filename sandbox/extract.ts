/**
 * The patch of a stopped sandbox. Its guest tells what changed and gives the contents, which become a commit in a verifier of the
 * pristine image, beside that image's own repository: the sandbox's git, its configuration and its ignore rules have no say.
 */

import type { ExtractCaps, ExtractedPatch } from '../domain/ports.ts';
import { toCommitStream } from './commit-stream.ts';
import type { GuestClient } from './guest-client.ts';
import { findGone, isTracked } from './tracked.ts';
import { fetchEntries, listChanges, type Patience } from './tree.ts';
import type { Verifier } from './verifier.ts';

/** Path length that every file system takes. */
const MAX_PATH_BYTES = 4096;

/** A cap that was passed: the whole patch is refused. */
export class CapPassed extends Error {}

/** Of a sandbox that is stopped. Throws SandboxLost, EngineUnavailable. Repeated, it gives the same. */
export async function extractPatch(
  guest: GuestClient,
  withVerifier: <T>(work: (verifier: Verifier) => Promise<T>) => Promise<T>,
  caps: ExtractCaps,
): Promise<ExtractedPatch> {
  const deadline = performance.now() + caps.timeoutMs;
  const leftMs = () => Math.max(1, Math.ceil(deadline - performance.now()));
  const patience: Patience = {
    leftMs,
    onTimeout: () => new CapPassed(`the changes could not be read in ${caps.timeoutMs / 1000} s`),
    onTooMuch: () => new CapPassed('more changes, or deeper ones, than a list can hold'),
  };
  try {
    const changes = await listChanges(guest, patience);
    const listed = changes.entries.filter(({ kind }) => kind !== 'folder');
    if (listed.length === 0 && changes.folders.size === 0) return { kind: 'empty' };

    return await withVerifier(async (verifier) => {
      const [tracked, ignored] = await Promise.all([
        withPatience(verifier.tracked(), patience),
        verifier.ignored(
          listed.map(({ path }) => path),
          leftMs(),
        ),
      ]);
      const gone = findGone(tracked, changes);
      const sizes = gone.length === 0 ? undefined : await withPatience(verifier.sizes(), patience);
      const wanted = listed.filter(
        ({ path, kind, changed }) =>
          kind !== 'other' && (isTracked(tracked, path) ? changed : !ignored.has(path)),
      );
      check([...wanted, ...gone.map((path) => ({ path, size: sizes?.get(path) ?? 0 }))], caps);
      const fetched = await fetchEntries(guest, wanted, caps.maxBytes, patience);
      const present = fetched.map(({ path, kind, executable, content }) => {
        const mode = kind === 'link' ? '120000' : executable ? '100755' : '100644';
        return { path, mode, content } as const;
      });
      present.sort((a, b) => (a.path < b.path ? -1 : 1));
      if (gone.length + present.length === 0) return { kind: 'empty' };
      return verifier.diff(
        toCommitStream({ deleted: gone.sort(), present }),
        caps.maxBytes,
        leftMs(),
      );
    });
  } catch (error) {
    if (error instanceof CapPassed) return { kind: 'oversized', reason: error.message };
    throw error;
  }
}

// --- internal ---

/** What others wait for as well: it goes on when this one gives up. */
async function withPatience<T>(work: Promise<T>, { leftMs, onTimeout }: Patience): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(onTimeout()), leftMs());
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Before any content is read; what is gone counts with what it was. Throws CapPassed. */
function check(changed: { path: string; size: number }[], caps: ExtractCaps): void {
  if (changed.length > caps.maxEntries)
    throw new CapPassed(`more than ${caps.maxEntries} changed files`);
  let bytes = 0;
  for (const { path, size } of changed) {
    if (path.split('/').length > caps.maxDepth)
      throw new CapPassed(`a change more than ${caps.maxDepth} folders deep`);
    if (path.length > MAX_PATH_BYTES)
      throw new CapPassed(`a changed path longer than ${MAX_PATH_BYTES} bytes`);
    bytes += size;
    if (bytes > caps.maxBytes)
      throw new CapPassed(`more than ${caps.maxBytes} bytes in changed files`);
  }
}
