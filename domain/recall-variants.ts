/** Recall as it would be if some lines did not count, or counted as equal: figures beside the two modes, for filters and for people. */

import { LineList, toUnits } from './line-list.ts';
import { type FileKind, fileKind, type KindJudge } from './patch-facts.ts';
import { changedLines, type PatchFile } from './patch.ts';
import { compareLists, type FileRecall, figuresOf, type RecallFigures } from './recall.ts';

/** Each reads the patches as mode `exact` does, but for what its name says. */
export interface RecallVariants {
  withoutTests: RecallFigures;
  withoutDocs: RecallFigures;
  /** Nor lock files, nor what is vendored: none of it was written by hand here. */
  withoutGenerated: RecallFigures;
  /** Without all of these. */
  core: RecallFigures;
  /** A line counts only in the file it stands in. */
  sameFile: RecallFigures;
  /** Lines that a patch takes out and puts in again elsewhere, unchanged, are no change of it. */
  withoutMoved: RecallFigures;
  /** Lines that differ in whitespace alone are equal. */
  ignoringWhitespace: RecallFigures;
}

/** All variants for two unified diffs; `files` is their `recallByFile`. Linear in the patches' length. */
export function recallVariants(
  target: string,
  produced: string,
  files: readonly FileRecall[],
  kindOf: KindJudge = fileKind,
): RecallVariants {
  const compare = (listOf: (patch: string) => LineList) =>
    compareLists(listOf(target), listOf(produced));
  const without = (kinds: FileKind[]) =>
    compare((patch) => linesWhere(patch, (file) => !kinds.includes(kindOf(file))));
  return {
    withoutTests: without(['tests']),
    withoutDocs: without(['docs']),
    withoutGenerated: without(GENERATED),
    core: without(['tests', 'docs', ...GENERATED]),
    sameFile: sumOf(files),
    withoutMoved: compare(unmovedLines),
    ignoringWhitespace: compare(squeezedLines),
  };
}

// --- internal ---

const GENERATED: FileKind[] = ['generated', 'lock', 'vendored'];

function linesWhere(patch: string, counts: (file: PatchFile) => boolean): LineList {
  const list = new LineList(toUnits(patch));
  const verdicts = new Map<PatchFile, boolean>();
  changedLines(patch, (start, end, file) => {
    let isCounted = verdicts.get(file);
    if (isCounted === undefined) verdicts.set(file, (isCounted = counts(file)));
    if (isCounted) list.add(start, end);
  });
  return list;
}

function unmovedLines(patch: string): LineList {
  const counts = new Map<string, { added: number; removed: number }>();
  changedLines(patch, (start, end) => {
    const content = patch.slice(start + 1, end);
    let count = counts.get(content);
    if (count === undefined) counts.set(content, (count = { added: 0, removed: 0 }));
    count[patch[start] === '+' ? 'added' : 'removed'] += 1;
  });
  for (const count of counts.values()) {
    const moved = Math.min(count.added, count.removed);
    count.added = moved;
    count.removed = moved;
  }
  // From here on: how many of each are still to be left out.
  const list = new LineList(toUnits(patch));
  changedLines(patch, (start, end) => {
    const left = counts.get(patch.slice(start + 1, end))!;
    const side = patch[start] === '+' ? 'added' : 'removed';
    if (left[side] > 0) left[side] -= 1;
    else list.add(start, end);
  });
  return list;
}

function squeezedLines(patch: string): LineList {
  const squeezed: string[] = [];
  changedLines(patch, (start, end) => {
    squeezed.push(patch[start] + patch.slice(start + 1, end).replaceAll(/\s+/g, ''));
  });
  const list = new LineList(toUnits(squeezed.join('\n')));
  let start = 0;
  for (const line of squeezed) {
    list.add(start, start + line.length);
    start += line.length + 1;
  }
  return list;
}

function sumOf(files: readonly FileRecall[]): RecallFigures {
  const sum = (of: (file: FileRecall) => number) =>
    files.reduce((total, file) => total + of(file), 0);
  return figuresOf(
    sum(({ matched }) => matched),
    sum(({ targetLines }) => targetLines),
    sum(({ producedLines }) => producedLines),
  );
}
