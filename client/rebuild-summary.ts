/** Makes the summary of how samples ended anew, and says how far it is. */

import type { Store } from '../domain/store.ts';
import { type Io, note } from './output.ts';

const REPORT_EVERY_MS = 3_000;

/** For a summary that is damaged or lost. Throws StoreCorrupt for a result that is no result. */
export async function rebuildSummary(io: Io, store: Store, batchId: string): Promise<void> {
  let reportedAt = performance.now();
  const found = await store.ends.rebuild(batchId, (done, planned) => {
    if (performance.now() - reportedAt < REPORT_EVERY_MS) return;
    reportedAt = performance.now();
    void note(io, `${batchId}: ${done} of ${planned} samples read`);
  });
  await note(io, `${batchId}: the summary is made anew, ${found} samples have a content verdict`);
}
