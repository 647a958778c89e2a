/** Asks the teacher whether its own rollout 1 holds up. */

import { promptsOf, parseVerdict, render, renderSteps } from '../domain/prompts.ts';
import type { RolloutResult, SelfCheckResult } from '../domain/sample.ts';
import { samplingOf, stageName } from '../domain/stage-key.ts';
import type { Trajectory } from '../domain/trajectory.ts';
import { askUntil, rememberIn } from './ask.ts';
import type { MainDeps } from './deps.ts';
import { instructionFor } from './rollout-plan.ts';
import { callScope, readResult, readSample, runStage, type StageInput } from './stage.ts';

export interface SelfCheckInput extends StageInput {
  attempt: number;
  /** Ledger name of the rollout to judge. */
  rollout1: string;
}

export function createSelfCheck({ store, hash, teacherFor, waitingFor }: MainDeps) {
  /** Returns the teacher's yes or no; an answer that says neither, thrice, is a no. */
  return function selfCheck(input: SelfCheckInput): Promise<SelfCheckResult> {
    return runStage(
      'self-check',
      async ({ signal }) => {
        const { batch, sample } = await readSample(store, input);
        const rollout1 = await readResult<RolloutResult>(store, input, input.rollout1);
        const { selfCheck: template } = promptsOf(batch.config.prompts);
        const instruction = instructionFor(batch, sample, input.attempt);
        const sampling = samplingOf(batch.config.teacher, sample.key);
        const name = stageName(
          `self-check.${input.attempt}`,
          {
            template,
            instruction,
            rollout1: input.rollout1,
            sampling,
            generation: input.generation,
          },
          hash,
        );
        const key = { batchId: input.batchId, sampleKey: input.sampleKey, name };
        const finished = await store.ledger.get<SelfCheckResult>(key);
        if (finished !== undefined) return finished;

        const trajectory = await store.blobs.getJson<Trajectory>(rollout1.trajectory);
        const { answer, spent } = await askUntil({
          teacher: await teacherFor(batch),
          scope: callScope(input, name),
          signal,
          once: rememberIn(store.ledger, key),
          prompt: (maxChars) =>
            render(template, { instruction, steps: renderSteps(trajectory, maxChars) }),
          parse: parseVerdict,
        });
        return store.ledger.put<SelfCheckResult>(key, { key: name, answer: answer ?? 'no', spent });
      },
      () => waitingFor(input.batchId, input.sampleKey),
    );
  };
}
