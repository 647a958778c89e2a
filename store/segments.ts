/** Journal segments of a rollout, one per epoch beside its lease, and which of their entries count. */

import { join } from 'node:path';
import type { JournalEntry } from '../domain/ports.ts';
import { parseLines, readIfThere } from './files.ts';

/** A segment's file in the rollout's folder. */
export function segmentName(epoch: number): string {
  return `${epoch}.jsonl`;
}

/** The entries that an epoch wrote itself; none when it wrote nothing. A half-written last line is not there. */
export async function ownEntries(folder: string, epoch: number): Promise<JournalEntry[]> {
  const text = (await readIfThere(join(folder, segmentName(epoch))))?.toString() ?? '';
  return parseLines<JournalEntry>(text);
}

/**
 * The entries that count for an epoch: its own, after those that it goes on from. What an earlier owner wrote after it was taken
 * over does not count.
 */
export async function countedEntries(folder: string, epoch: number): Promise<JournalEntry[]> {
  const own = await ownEntries(folder, epoch);
  const from = origin(own);
  if (from === undefined) return own;
  return [...(await countedEntries(folder, from.epoch)).slice(0, from.entries), ...own];
}

/** Where an epoch goes on from: so many of the entries that counted in an earlier one. Undefined for one that began anew. */
export function origin([first]: JournalEntry[]): { epoch: number; entries: number } | undefined {
  if (first?.kind !== 'mark') return undefined;
  return first.mark === 'continued' || first.mark === 'restored' ? first : undefined;
}
