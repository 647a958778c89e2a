/** Which of many signatures are alike, without comparing each with each. */

import { Groups } from './groups.ts';
import { BINS, mix, similarity, type Signature } from './minhash.ts';

/**
 * For each signature the least index of its group: two that are at least this similar (from 0.5 to 1) are in one group, and so is
 * what is linked by others between. What has no signature is alone. Of pairs just at the threshold up to 1 % are not seen.
 */
export function groupAlike(
  signatures: readonly (Signature | undefined)[],
  threshold: number,
): Int32Array {
  const groups = new Groups(signatures.length);
  const distinct = joinEqual(signatures, groups);
  const { bands, rows } = bandsFor(threshold);
  const before = new Int32Array(signatures.length);
  for (let band = 0; band < bands; band += 1) {
    /** The last signature with these values in this band; `before` leads from it to the others. */
    const last = new Map<number, number>();
    for (const index of distinct) {
      const signature = signatures[index]!;
      const key = hashOf(signature, band * rows, (band + 1) * rows);
      const other = last.get(key) ?? NONE;
      before[index] = other;
      last.set(key, index);
      for (let at = other; at !== NONE; at = before[at]!) {
        const isKnown = groups.of(at) === groups.of(index);
        if (!isKnown && similarity(signatures[at]!, signature) >= threshold) groups.join(at, index);
      }
    }
  }
  return groups.all();
}

// --- internal ---

const NONE = -1;
/** Share of pairs at the threshold that no band may bring together. */
const MAX_MISSED = 0.01;
const MAX_ROWS = 16;

/** The longest bands, because these bring together the fewest pairs that are not alike. */
function bandsFor(threshold: number): { bands: number; rows: number } {
  const missed = (rows: number) => (1 - threshold ** rows) ** Math.floor(BINS / rows);
  let rows = 1;
  while (rows < MAX_ROWS && missed(rows + 1) <= MAX_MISSED) rows += 1;
  return { bands: Math.floor(BINS / rows), rows };
}

/** Joins equal signatures, of which there may be many, and returns the first of each. */
function joinEqual(signatures: readonly (Signature | undefined)[], groups: Groups): number[] {
  const firsts: number[] = [];
  const byHash = new Map<number, number[]>();
  for (const [index, signature] of signatures.entries()) {
    if (signature === undefined) continue;
    const hash = hashOf(signature, 0, BINS);
    const known = byHash.get(hash) ?? [];
    const first = known.find((each) => similarity(signatures[each]!, signature) === 1);
    if (first !== undefined) {
      groups.join(first, index);
      continue;
    }
    firsts.push(index);
    byHash.set(hash, [...known, index]);
  }
  return firsts;
}

function hashOf(values: Signature, start: number, end: number): number {
  let hash = 0;
  for (let index = start; index < end; index += 1) hash = mix(hash ^ values[index]!);
  return hash;
}
