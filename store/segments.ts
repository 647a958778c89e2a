/** Journal segments of a rollout, one per epoch beside its lease, and which of their entries count. */

import type { JournalEntry } from '../domain/ports.ts';
import { StoreCorrupt } from '../domain/store.ts';
import { parseLines } from './lines.ts';
import type { Storage } from './storage.ts';

/** An epoch's segment, in the rollout's folder. */
export function segmentPath(folder: string, epoch: number): string {
  return `${folder}/${epoch}.jsonl`;
}

/** The entries that an epoch wrote itself; none when it wrote nothing. A half-written last line is not there. */
export async function ownEntries(
  storage: Storage,
  folder: string,
  epoch: number,
): Promise<JournalEntry[]> {
  const text = (await storage.read(segmentPath(folder, epoch)))?.toString() ?? '';
  return parseLines<JournalEntry>(text);
}

/**
 * The entries that count for an epoch: its own, after those that it goes on from. What an earlier owner wrote after it was taken
 * over does not count. Throws StoreCorrupt where one of them is missing.
 */
export async function countedEntries(
  storage: Storage,
  folder: string,
  epoch: number,
): Promise<JournalEntry[]> {
  const own = await ownEntries(storage, folder, epoch);
  const from = origin(own);
  if (from === undefined) return own;
  const before = await countedEntries(storage, folder, from.epoch);
  if (before.length < from.entries) {
    throw new StoreCorrupt(
      `${storage.placeOf(segmentPath(folder, from.epoch))}: ${from.entries - before.length} entries are missing that the next owner had; remove the folder, the rollout starts again`,
    );
  }
  return [...before.slice(0, from.entries), ...own];
}

/** Where an epoch goes on from: so many of the entries that counted in an earlier one. Undefined for one that began anew. */
export function origin([first]: JournalEntry[]): { epoch: number; entries: number } | undefined {
  if (first?.kind !== 'mark') return undefined;
  return first.mark === 'continued' || first.mark === 'restored' ? first : undefined;
}
