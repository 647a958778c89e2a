/** Parts rows into training and held-out ones that have nothing in common: no function, no file, no near-duplicate. */

import { drawLot, type Candidate } from './candidates.ts';
import { Groups } from './groups.ts';
import { groupAlike } from './near-duplicates.ts';
import { ALIKE, type Views } from './views.ts';

/**
 * Whole groups are held out, drawn by the seed, up to `share` of the rows; a group is what is about one file or alike. A row whose patch
 * also changes a file of the other side is in neither. Rows keep their order.
 */
export function splitOff(
  rows: readonly Candidate[],
  share: number,
  { seed, distinctPatches, distinctTrajectories }: Views,
): { train: Candidate[]; heldOut: Candidate[] } {
  const groups = groupsOf(rows, distinctPatches ?? ALIKE, distinctTrajectories ?? ALIKE);
  const drawn = drawGroups(rows, groups, Math.round(share * rows.length), seed);
  const isDrawn = (_: Candidate, index: number) => drawn.has(groups[index]!);
  const candidates = rows.filter(isDrawn);
  const heldFiles = new Set(candidates.map(({ file }) => file));
  const train = rows.filter(
    (row, index) => !isDrawn(row, index) && !row.changed.some((file) => heldFiles.has(file)),
  );
  const trainFiles = new Set(train.flatMap(({ file, changed }) => [file, ...changed]));
  const heldOut = candidates.filter(({ changed }) => !changed.some((file) => trainFiles.has(file)));
  return { train, heldOut };
}

// --- internal ---

function groupsOf(rows: readonly Candidate[], patches: number, trajectories: number): Int32Array {
  const groups = new Groups(rows.length);
  const firstOfFile = new Map<number, number>();
  const alike = [
    groupAlike(
      rows.map(({ patch }) => patch),
      patches,
    ),
    groupAlike(
      rows.map(({ trajectory }) => trajectory),
      trajectories,
    ),
  ];
  for (const [index, { file }] of rows.entries()) {
    const first = firstOfFile.get(file) ?? index;
    firstOfFile.set(file, first);
    groups.join(first, index);
    for (const each of alike) groups.join(each[index]!, index);
  }
  return groups.all();
}

/** Groups that have at most so many rows together, drawn one by one; those that are too large are left. */
function drawGroups(
  rows: readonly Candidate[],
  groups: Int32Array,
  most: number,
  seed: number,
): Set<number> {
  const sizes = new Map<number, number>();
  for (const group of groups) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  const order = [...sizes]
    // A lot of its own: that of the first row of many is a good one more often than not.
    .map(([group, size]) => ({ group, size, lot: drawLot(seed, `held-out ${rows[group]!.id}`) }))
    .sort((a, b) => a.lot - b.lot);
  const drawn = new Set<number>();
  let left = most;
  for (const { group, size } of order) {
    if (size > left) continue;
    left -= size;
    drawn.add(group);
  }
  return drawn;
}
