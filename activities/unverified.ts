/** Samples whose verification is not the one that the batch's settings ask for. */

import type { Sample, SampleEnd } from '../domain/sample.ts';
import type { StageKey } from '../domain/store.ts';
import { verifyName } from '../domain/verification.ts';
import type { MainDeps } from './deps.ts';
import { readBatch, runStage } from './stage.ts';
import type { VerifyInput } from './verify.ts';

/** Lines of the manifest that one call looks at, and how many at the same time. */
const MAX_LOOKED_AT = 1000;
const AT_ONCE = 32;

export interface UnverifiedPage {
  samples: VerifyInput[];
  /** Samples that have the verification already. */
  known: number;
  /** Where the page after them begins. */
  next: number;
  planned: number;
}

export function createLoadUnverified({ store, hash }: Pick<MainDeps, 'store' | 'hash'>) {
  /** At most `count` and some more of the samples with two rollouts, from `from` on. */
  return function loadUnverified(input: {
    batchId: string;
    from: number;
    count: number;
  }): Promise<UnverifiedPage> {
    return runStage('looking for samples to verify', async () => {
      const { batchId, from, count } = input;
      const { config } = await readBatch(store, batchId);
      const planned = await store.batches.planned(batchId);
      const page: UnverifiedPage = { samples: [], known: 0, next: from, planned };
      const last = Math.min(planned, from + MAX_LOOKED_AT);
      while (page.next < last && page.samples.length < count) {
        const samples = await store.batches.samples(batchId, page.next, AT_ONCE);
        const found = await Promise.all(samples.map(toInput));
        for (const each of found) {
          if (each === 'known') page.known += 1;
          else if (each !== undefined) page.samples.push(each);
        }
        page.next += samples.length;
      }
      return page;

      async function toInput({ key }: Sample): Promise<VerifyInput | 'known' | undefined> {
        const rollouts = rolloutsOf(await store.ends.of(batchId, key));
        if (rollouts === undefined) return undefined;
        const name = verifyName(rollouts, config.verification, hash);
        const stage: StageKey = { batchId, sampleKey: key, name };
        if ((await store.ledger.get(stage)) !== undefined) return 'known';
        return { batchId, sampleKey: key, ...rollouts };
      }
    });
  };
}

// --- internal ---

function rolloutsOf(end: SampleEnd | undefined) {
  if (end?.verdict.kind !== 'verified') return undefined;
  const { 'rollout-1': rollout1, 'rollout-2': rollout2, 'synthetic-pr': pr } = end.results;
  if (rollout1 === undefined || rollout2 === undefined) return undefined;
  return { rollout1, rollout2, generation: end.generation, ...(pr !== undefined && { pr }) };
}
