/** Chooses among candidates: near-duplicates, caps, numbers of rows, and what is held out. */

import { compareCandidates, type Candidate } from './candidates.ts';
import type { RowCounts, Split, ViewCounts } from './manifest.ts';
import { groupAlike } from './near-duplicates.ts';
import { KINDS, type Kind } from './select.ts';
import { splitOff } from './split.ts';
import type { Views } from './views.ts';

export interface ChosenRow extends Candidate {
  split: Split;
}

export interface Choice {
  /** In the order of the candidates. */
  rows: ChosenRow[];
  lost: Record<Kind, RowCounts['lost']>;
  /** What each view got and left. */
  views: ViewCounts[];
}

/** The rows that all views leave; the same candidates and views give the same rows. */
export function choose(candidates: readonly Candidate[], views: Views): Choice {
  const lost: Choice['lost'] = { t1: {}, t2: {} };
  const counts: ViewCounts[] = [];
  let rows = candidates.toSorted(compareCandidates);
  const note = (view: string, left: Candidate[]) => {
    const ofKind = (kind: Kind) => {
      const [before, after] = [countOf(rows, kind), countOf(left, kind)];
      if (after < before) lost[kind][view] = before - after;
      return { in: before, out: after };
    };
    counts.push({ view, t1: ofKind('t1'), t2: ofKind('t2') });
    rows = left;
  };
  for (const { view, keep } of viewsOf(views)) note(view, keep(rows));
  const heldOut = new Set<Candidate>();
  if (views.heldOut !== undefined) {
    const split = splitOff(rows, views.heldOut, views);
    for (const row of split.heldOut) heldOut.add(row);
    note('shared-with-held-out', [...split.train, ...split.heldOut]);
  }
  const kept = new Set(rows);
  const chosen = candidates
    .filter((candidate) => kept.has(candidate))
    .map((row): ChosenRow => ({ ...row, split: heldOut.has(row) ? 'held-out' : 'train' }));
  return { rows: chosen, lost, views: counts };
}

// --- internal ---

/** Gets the rows in the order in which they are taken, and keeps that order. */
interface View {
  view: string;
  keep(rows: Candidate[]): Candidate[];
}

function viewsOf(views: Views): View[] {
  const { distinctPatches, distinctTrajectories, maxPerFunction, maxPerFile, maxRows } = views;
  return [
    ...asked(distinctPatches, (from) => distinct('near-duplicate-patch', 'patch', from)),
    ...asked(distinctTrajectories, (from) =>
      distinct('near-duplicate-trajectory', 'trajectory', from),
    ),
    ...asked(maxPerFunction, (most) => cap('max-per-function', 'function', most)),
    ...asked(maxPerFile, (most) => cap('max-per-file', 'file', most)),
    ...KINDS.flatMap((kind) => asked(maxRows[kind], (most) => draw(kind, most))),
  ];
}

function asked(value: number | undefined, make: (value: number) => View): View[] {
  return value === undefined ? [] : [make(value)];
}

/** The first row of each group of near-duplicates. */
function distinct(view: string, of: 'patch' | 'trajectory', from: number): View {
  return {
    view,
    keep(rows) {
      const groups = groupAlike(
        rows.map((row) => row[of]),
        from,
      );
      return rows.filter((_, index) => groups[index] === index);
    },
  };
}

function cap(view: string, by: 'function' | 'file', most: number): View {
  return {
    view,
    keep(rows) {
      const counts = new Map<number, number>();
      return rows.filter((row) => countUp(counts, row[by]) <= most);
    },
  };
}

/** Rows of a kind, one of each stratum in turn, so that small strata stay whole. */
function draw(kind: Kind, most: number): View {
  return {
    view: `${kind}-rows`,
    keep(rows) {
      const counts = new Map<Candidate['stratum'], number>();
      const turns = rows
        .filter((row) => row.kind === kind)
        .map((row, rank) => ({ row, rank, turn: countUp(counts, row.stratum) }))
        .sort((a, b) => a.turn - b.turn || a.rank - b.rank)
        .slice(0, most);
      const drawn = new Set(turns.map(({ row }) => row));
      return rows.filter((row) => row.kind !== kind || drawn.has(row));
    },
  };
}

/** How often the key has come, this time included. */
function countUp<Key>(counts: Map<Key, number>, key: Key): number {
  const count = (counts.get(key) ?? 0) + 1;
  counts.set(key, count);
  return count;
}

function countOf(rows: readonly Candidate[], kind: Kind): number {
  return rows.filter((row) => row.kind === kind).length;
}
