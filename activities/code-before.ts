/** The code that a patch was made from. */

import { pathsOf } from '../domain/patch-apply.ts';
import type { SnapshotFiles } from '../domain/ports.ts';
import type { Sample } from '../domain/sample.ts';

/** Larger files are data, and not read for names. */
const MAX_FILE_BYTES = 1024 ** 2;
const MAX_BYTES = 4 * 1024 ** 2;

/** What the files that a patch changes held before it, one after the other; no more than a few MiB of it. */
export async function codeBefore(
  snapshots: SnapshotFiles,
  { snapshot }: Pick<Sample, 'snapshot'>,
  patch: string,
): Promise<string> {
  const files = await snapshots.read(snapshot, pathsOf(patch));
  const texts: string[] = [];
  let left = MAX_BYTES;
  for (const bytes of files.values()) {
    if (bytes.length > MAX_FILE_BYTES || bytes.length > left) continue;
    left -= bytes.length;
    texts.push(Buffer.from(bytes).toString());
  }
  return texts.join('\n');
}
