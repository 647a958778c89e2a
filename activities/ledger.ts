/** The batch's light work on the store: pages of the manifest, closed samples, ends. */

import { sampleIndex } from '../domain/ids.ts';
import { type FailedChoice, isChosen } from '../domain/outcome.ts';
import type { Sample, SampleEnd, SampleRef } from '../domain/sample.ts';
import type { MainDeps } from './deps.ts';
import { readBatch, runStage } from './stage.ts';

/** Lines of the manifest. */
const READ_AT_ONCE = 1000;

export interface PageInput {
  batchId: string;
  from: number;
  count: number;
  /** All of them where it is missing. */
  again?: FailedChoice | undefined;
}

export interface Page {
  /** The next samples without a content verdict. */
  samples: SampleRef[];
  /** Where the page after them begins. */
  next: number;
  planned: number;
}

export function createLedgerActivities({
  store,
  closedSamples,
}: Pick<MainDeps, 'store' | 'closedSamples'>) {
  async function unfinishedOf(
    batchId: string,
    samples: Sample[],
    again: FailedChoice | undefined,
  ): Promise<SampleRef[]> {
    const targets = new Map(samples.map(({ key, target }) => [key, target]));
    const unfinished = await store.ends.unfinished(batchId, [...targets.keys()]);
    return unfinished.flatMap(({ key, generation, failed: verdict }) => {
      if (again && verdict && !isChosen(again, { key, verdict })) return [];
      const { name = '', file = '' } = targets.get(key) ?? {};
      return [{ batchId, key, generation, title: clipTitle(`${name} in ${file}`) }];
    });
  }

  return {
    /** The first `count` samples from `from` on that are left to do; of those that failed before, those in `again`. */
    loadPage(input: PageInput): Promise<Page> {
      return runStage('reading the manifest', async () => {
        const { batchId, from, count, again } = input;
        await readBatch(store, batchId);
        const planned = await store.batches.planned(batchId);
        const left: SampleRef[] = [];
        let next = from;
        // On to those that are left to do, however many are done before them.
        while (left.length < count && next < planned) {
          const page = await store.batches.samples(batchId, next, READ_AT_ONCE);
          next += page.length;
          for (let at = 0; at < page.length && left.length < count; at += count) {
            left.push(...(await unfinishedOf(batchId, page.slice(at, at + count), again)));
          }
        }
        const samples = left.slice(0, count);
        const last = samples.at(-1);
        if (last !== undefined && samples.length === count) next = sampleIndex(last.key) + 1;
        return { samples, next, planned };
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
