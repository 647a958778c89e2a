/** Soft verification's measure: the share of a target patch's changed lines that a produced patch contains. */

import { countCommon, LineList, toUnits } from './line-list.ts';
import { changedLines, isBlank } from './patch.ts';

/** `exact` reads the structure of the diff; `sera` gives what the reference implementation gives, its quirks included. */
export const RECALL_MODES = ['exact', 'sera'] as const;
export type RecallMode = (typeof RECALL_MODES)[number];

export interface RecallFigures {
  /** Null where the target has no countable line. */
  recall: number | null;
  /** Null where the produced patch has no countable line. */
  precision: number | null;
  /** Harmonic mean of both; null where either is, 0 where both are 0. */
  f1: number | null;
  /** Lines of the target found in the produced patch, each produced line used once. */
  matched: number;
  targetLines: number;
  producedLines: number;
}

/** Recall of one file: its lines against those of the produced patch's file of the same path. */
export interface FileRecall extends RecallFigures {
  path: string;
}

/** Compares two unified diffs as multisets of signed lines; files and positions do not matter. Linear in their length. */
export function recall(target: string, produced: string, mode: RecallMode): RecallFigures {
  const eachLine = mode === 'exact' ? changedLines : seraLines;
  const listOf = (patch: string) => {
    const list = new LineList(toUnits(patch));
    eachLine(patch, (start, end) => list.add(start, end));
    return list;
  };
  return compareLists(listOf(target), listOf(produced));
}

/** The `exact` figures of every path that either patch changes, sorted by path: a line moved to another file counts here. */
export function recallByFile(target: string, produced: string): FileRecall[] {
  const patches = { target, produced };
  const units = { target: toUnits(target), produced: toUnits(produced) };
  const byPath = new Map<string, Record<keyof typeof patches, LineList>>();
  const listsOf = (path: string) => {
    const known = byPath.get(path);
    if (known) return known;
    const fresh = { target: new LineList(units.target), produced: new LineList(units.produced) };
    byPath.set(path, fresh);
    return fresh;
  };
  for (const side of ['target', 'produced'] as const) {
    const files = changedLines(patches[side], (start, end, { path }) =>
      listsOf(path)[side].add(start, end),
    );
    // Also a file without a countable line is listed.
    for (const { path } of files) listsOf(path);
  }
  return [...byPath]
    .map(([path, lists]) => ({ path, ...compareLists(lists.target, lists.produced) }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The figures of two lists of lines. */
export function compareLists(target: LineList, produced: LineList): RecallFigures {
  return figuresOf(countCommon(target, produced), target.length, produced.length);
}

/** The figures that follow from three counts of lines. */
export function figuresOf(
  matched: number,
  targetLines: number,
  producedLines: number,
): RecallFigures {
  const share = targetLines === 0 ? null : matched / targetLines;
  const precision = producedLines === 0 ? null : matched / producedLines;
  return {
    recall: share,
    precision,
    f1: harmonicMean(share, precision),
    matched,
    targetLines,
    producedLines,
  };
}

// --- internal ---

function harmonicMean(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return null;
  return a + b === 0 ? 0 : (2 * a * b) / (a + b);
}

/** The lines the reference counts: every line end Python knows splits, header look-alikes and blank changes are left out. */
function seraLines(patch: string, onLine: (start: number, end: number) => void): void {
  let start = 0;
  for (let index = 0; index <= patch.length; index += 1) {
    if (index < patch.length && !isPythonLineEnd(patch.charCodeAt(index))) continue;
    const sign = patch[start];
    if (
      index > start &&
      (sign === '+' || sign === '-') &&
      !(patch[start + 1] === sign && patch[start + 2] === sign) &&
      !isBlank(patch, start + 1, index)
    ) {
      onLine(start, index);
    }
    start = index + 1;
  }
}

function isPythonLineEnd(code: number): boolean {
  if (code > 0x1e) return code === 0x85 || code === 0x2028 || code === 0x2029;
  return (code >= 0x0a && code <= 0x0d) || code >= 0x1c;
}
