/** The batch's light work on the store: pages of the manifest, closed samples, ends. */

import type { SampleEnd, SampleRef } from '../domain/sample.ts';
import type { MainDeps } from './deps.ts';
import { readBatch, runStage } from './stage.ts';

export interface Page {
  /** Those of the page that have no content verdict. */
  samples: SampleRef[];
  next: number;
  planned: number;
}

export function createLedgerActivities({ store, closedSamples }: MainDeps) {
  return {
    /** A page of the manifest, from sample `from` on. */
    loadPage(input: { batchId: string; from: number; count: number }): Promise<Page> {
      return runStage('reading the manifest', async () => {
        const { batchId, from, count } = input;
        await readBatch(store, batchId);
        const page = await store.batches.samples(batchId, from, count);
        const samples: SampleRef[] = [];
        for (const { key, target } of page) {
          if (await store.ends.isFinal(batchId, key)) continue;
          const generation = await store.ends.generation(batchId, key);
          samples.push({
            batchId,
            key,
            generation,
            title: clipTitle(`${target.name} in ${target.file}`),
          });
        }
        return { samples, next: from + page.length, planned: await store.batches.planned(batchId) };
      });
    },

    /** Those of these samples that have closed, whether or not they could report it. */
    reconcile({ batchId, keys }: { batchId: string; keys: string[] }): Promise<string[]> {
      return runStage('looking for closed samples', () => closedSamples(batchId, keys));
    },

    /** Records how a sample ended; the first content verdict of a generation stays. */
    recordEnd(input: { batchId: string; end: Omit<SampleEnd, 'endedAt'> }): Promise<SampleEnd> {
      return runStage('recording the verdict', () =>
        store.ends.record(input.batchId, { ...input.end, endedAt: new Date().toISOString() }),
      );
    },
  };
}

// --- internal ---

/** The server takes 400 bytes of summary, and refuses a longer one for ever. */
const MAX_TITLE_BYTES = 320;

/** Names come from any repository, in any script: cut by bytes, between characters. */
function clipTitle(title: string): string {
  let bytes = 0;
  const kept: string[] = [];
  for (const character of title) {
    bytes += Buffer.byteLength(JSON.stringify(character)) - 2;
    if (bytes > MAX_TITLE_BYTES) return `${kept.join('')}…`;
    kept.push(character);
  }
  return title;
}
