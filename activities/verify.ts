/** Compares the two patches of a sample. */

import { patchFacts } from '../domain/patch-facts.ts';
import { recall, recallByFile } from '../domain/recall.ts';
import type { RolloutResult, VerifyResult } from '../domain/sample.ts';
import { stageName } from '../domain/stage-key.ts';
import type { RolloutDeps } from './deps.ts';
import { readResult, readSample, runStage, type StageInput } from './stage.ts';

export interface VerifyInput extends StageInput {
  /** Ledger names of the two rollouts. */
  rollout1: string;
  rollout2: string;
}

export function createVerify({ store, hash }: RolloutDeps) {
  /** Returns recall in both modes; facts about both patches are stored beside. */
  return function verify(input: VerifyInput): Promise<VerifyResult> {
    return runStage('comparing the patches', async () => {
      const { sample } = await readSample(store, input);
      const name = stageName(
        'verify',
        { rollout1: input.rollout1, rollout2: input.rollout2 },
        hash,
      );
      const key = { batchId: input.batchId, sampleKey: input.sampleKey, name };
      const finished = await store.ledger.get<VerifyResult>(key);
      if (finished !== undefined) return finished;

      const first = await readResult<RolloutResult>(store, input, input.rollout1);
      const second = await readResult<RolloutResult>(store, input, input.rollout2);
      const [target, produced] = await Promise.all([textOf(first), textOf(second)]);
      const facts = await store.blobs.putJson({
        target: patchFacts(target, sample.target),
        produced: patchFacts(produced, sample.target),
        files: recallByFile(target, produced),
      });
      return store.ledger.put<VerifyResult>(key, {
        key: name,
        exact: recall(target, produced, 'exact'),
        sera: recall(target, produced, 'sera'),
        facts,
        sameImage: first.sandbox.imageId === second.sandbox.imageId,
      });
    });
  };

  async function textOf({ patch }: RolloutResult): Promise<string> {
    return patch === null ? '' : Buffer.from(await store.blobs.get(patch.ref)).toString();
  }
}
