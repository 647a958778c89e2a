/** What one of several workers may take of a limit that holds for all of them together. */

import type { Share } from '../domain/store.ts';

/** A worker's part of a whole number; the parts add up to it, but nobody is left with nothing. */
export function partOf(limit: number, { index, of }: Share): number {
  return Math.max(1, Math.floor(limit / of) + (index < limit % of ? 1 : 0));
}
