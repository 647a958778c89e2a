/** Compares the two patches of a sample. */

import { compareBehaviour } from '../agent/behaviour.ts';
import { createKindJudge, patchFacts } from '../domain/patch-facts.ts';
import { recall, recallByFile } from '../domain/recall.ts';
import { recallVariants } from '../domain/recall-variants.ts';
import { leakOf } from '../domain/leak.ts';
import type { RolloutResult, SyntheticPrResult, VerifyResult } from '../domain/sample.ts';
import type { Trajectory } from '../domain/trajectory.ts';
import { type VerificationFacts, verifyName } from '../domain/verification.ts';
import { codeBefore } from './code-before.ts';
import type { RolloutDeps } from './deps.ts';
import { readResult, readSample, runStage, type StageInput } from './stage.ts';

export interface VerifyInput extends StageInput {
  /** Ledger names of the two rollouts. */
  rollout1: string;
  rollout2: string;
  /** Of the pull request. */
  pr?: string;
}

export function createVerify({ store, hash, judgePatch, snapshots }: RolloutDeps) {
  /** Returns recall in both modes; facts about both patches are stored beside. */
  return function verify(input: VerifyInput): Promise<VerifyResult> {
    return runStage('comparing the patches', async () => {
      const { batch, sample } = await readSample(store, input);
      const { verification } = batch.config;
      const name = verifyName(input, verification, hash);
      const key = { batchId: input.batchId, sampleKey: input.sampleKey, name };
      const finished = await store.ledger.get<VerifyResult>(key);
      if (finished !== undefined) return finished;

      const first = await readResult<RolloutResult>(store, input, input.rollout1);
      const second = await readResult<RolloutResult>(store, input, input.rollout2);
      const [target, produced] = await Promise.all([textOf(first), textOf(second)]);
      const text = input.pr === undefined ? null : await prText(input, input.pr);
      const before = await codeBefore(snapshots, sample, target);
      const files = recallByFile(target, produced);
      const kindOf = createKindJudge(verification.kinds ?? {});
      const facts: VerificationFacts = {
        target: patchFacts(target, sample.target, kindOf),
        produced: patchFacts(produced, sample.target, kindOf),
        files,
        variants: recallVariants(target, produced, files, kindOf),
        judgement: await judgePatch(sample.snapshot, produced),
        behaviour: compareBehaviour(
          await store.blobs.getJson<Trajectory>(first.trajectory),
          await store.blobs.getJson<Trajectory>(second.trajectory),
        ),
        leak: text === null ? null : leakOf(text, target, before),
      };
      return store.ledger.put<VerifyResult>(key, {
        key: name,
        exact: recall(target, produced, 'exact'),
        sera: recall(target, produced, 'sera'),
        facts: await store.blobs.putJson(facts),
        sameImage: first.sandbox.imageId === second.sandbox.imageId,
      });
    });
  };

  async function prText(input: VerifyInput, name: string): Promise<string | null> {
    const { text } = await readResult<SyntheticPrResult>(store, input, name);
    return text === null ? null : Buffer.from(await store.blobs.get(text)).toString();
  }

  async function textOf({ patch }: RolloutResult): Promise<string> {
    return patch === null ? '' : Buffer.from(await store.blobs.get(patch.ref)).toString();
  }
}
