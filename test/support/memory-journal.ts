/** A journal in memory: what was appended survives the loop that wrote it. */

import type { Journal, JournalEntry } from '../../domain/ports.ts';

export function createMemoryJournal(entries: JournalEntry[] = []): Journal & {
  entries: JournalEntry[];
} {
  return {
    entries,
    // Through JSON, as every real journal does.
    open: async () => JSON.parse(JSON.stringify(entries)) as JournalEntry[],
    append: async (entry) => {
      entries.push(JSON.parse(JSON.stringify(entry)) as JournalEntry);
    },
  };
}
