/** Applies a unified diff to texts, strictly: every line where the diff says it is, or not at all. */

import { type Hunk, type PatchFile, readPatch } from './patch.ts';

/** A file of the patch, as it was and as the patch leaves it; null where there is none. */
export interface AppliedFile {
  /** Path after the change; of a deleted file, before it. */
  path: string;
  before: string | null;
  after: string | null;
}

/**
 * The text files of a patch, applied to what `read` gives for a path (undefined: no such file); or the path of the first
 * file it does not fit. Binary files are left out, and whether a last line ends with a line feed is not looked at.
 */
export function applyPatch(
  patch: string,
  read: (path: string) => string | undefined,
): { files: AppliedFile[] } | { misfit: string } {
  const edits = new Map<PatchFile, Edit[]>();
  const files = readPatch(patch, (start, end, oldLine, hunk) => {
    const edit = { sign: patch[start] ?? ' ', text: patch.slice(start + 1, end), oldLine, hunk };
    const known = edits.get(hunk.file);
    if (known === undefined) edits.set(hunk.file, [edit]);
    else known.push(edit);
  });
  const applied: AppliedFile[] = [];
  for (const file of files) {
    if (file.binary) continue;
    const { path, oldPath, newPath } = file;
    const before = read(oldPath ?? path) ?? null;
    const isNew = oldPath === null;
    // A new file that is there, or a changed one that is not.
    if (isNew === (before !== null)) return { misfit: path };
    const lines = change(before === null ? [] : toLines(before), edits.get(file) ?? []);
    if (lines === undefined || (newPath === null && lines.length > 0)) return { misfit: path };
    const after = newPath === null ? null : lines.map((line) => `${line}\n`).join('');
    applied.push({ path, before, after });
  }
  return { files: applied };
}

/** The paths that a patch is applied to: files that are changed or deleted, and those it makes. */
export function pathsOf(patch: string): string[] {
  return readPatch(patch).map(({ path, oldPath }) => oldPath ?? path);
}

// --- internal ---

/** One line of a hunk. */
interface Edit {
  sign: string;
  text: string;
  oldLine: number;
  hunk: Hunk;
}

function toLines(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** The lines after the edits; undefined where they don't fit, or where a hunk is shorter than its header says. */
function change(old: readonly string[], edits: readonly Edit[]): string[] | undefined {
  const lines: string[] = [];
  const seen = new Map<Hunk, { old: number; new: number }>();
  let next = 0;
  for (const { sign, text, oldLine, hunk } of edits) {
    const at = oldLine - 1;
    if (at < next || at > old.length) return undefined;
    while (next < at) lines.push(old[next++]!);
    if (sign !== '+' && old[next++] !== text) return undefined;
    if (sign !== '-') lines.push(text);
    const counts = seen.get(hunk) ?? { old: 0, new: 0 };
    if (sign !== '+') counts.old += 1;
    if (sign !== '-') counts.new += 1;
    seen.set(hunk, counts);
  }
  for (const [hunk, counts] of seen) {
    if (counts.old !== hunk.oldCount || counts.new !== hunk.newCount) return undefined;
  }
  while (next < old.length) lines.push(old[next++]!);
  return lines;
}
