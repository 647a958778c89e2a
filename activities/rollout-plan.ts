/** What one rollout of a sample is: its texts and limits, and the key of its result. */

import type { RolloutPlan } from '../agent/plan.ts';
import { PROFILE_VERSION } from '../agent/tools/profile.ts';
import { type Hash, REPOSITORY_PATH, rolloutId } from '../domain/ids.ts';
import { instructionsOf, renderInstruction } from '../domain/instructions.ts';
import { promptsOf, render } from '../domain/prompts.ts';
import type { Sample, SyntheticPrResult } from '../domain/sample.ts';
import { imageKey, samplingOf, stageName } from '../domain/stage-key.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import { failure } from './failures.ts';
import { generationSuffix, readResult, type StageInput } from './stage.ts';

export interface RolloutInput extends StageInput {
  rollout: 1 | 2;
  attempt: number;
  imageId: string;
  /** Ledger name of the synthetic PR; rollout 2 works from it alone. */
  pr?: string;
}

/** The vague instruction of an attempt at rollout 1. Throws InvalidConfig when its text is gone from the configuration. */
export function instructionFor(batch: BatchRecord, sample: Sample, attempt: number): string {
  const id = sample.instructions[attempt - 1];
  const instruction = instructionsOf(batch.config.prompts.instructions).find(
    (each) => each.id === id,
  );
  if (instruction === undefined) {
    throw failure(
      'InvalidConfig',
      `instruction ${id ?? '?'} of sample ${sample.key} is not among the texts of the batch`,
    );
  }
  return renderInstruction(instruction, sample.target);
}

/** The task of a rollout, in the words its first message quotes. */
export async function statementOf(
  store: Store,
  batch: BatchRecord,
  sample: Sample,
  input: RolloutInput,
): Promise<string> {
  const { attempt, pr } = input;
  if (pr === undefined) return instructionFor(batch, sample, attempt);
  const { text } = await readResult<SyntheticPrResult>(store, input, pr);
  if (text === null) throw failure('InvalidSample', `the synthetic PR ${pr} has no text`);
  return Buffer.from(await store.blobs.get(text)).toString();
}

export function toRolloutPlan(
  batch: BatchRecord,
  input: RolloutInput,
  statement: string,
): RolloutPlan {
  const { rollout, prompts } = batch.config;
  const texts = promptsOf(prompts);
  return {
    // A retried sample's rollouts are others than its earlier ones.
    rolloutId:
      rolloutId(input.batchId, input.sampleKey, input.rollout, input.attempt) +
      generationSuffix(input),
    systemPrompt: render(texts.system, {}),
    taskPrompt: render(texts.task, { repository: REPOSITORY_PATH, statement }),
    review: texts.review,
    callsPerTurn: rollout.callsPerTurn,
    limits: rollout,
  };
}

export function rolloutName(
  { config }: BatchRecord,
  sample: Sample,
  input: RolloutInput,
  plan: RolloutPlan,
  hash: Hash,
): string {
  const { rolloutId: _id, ...content } = plan;
  return stageName(
    `rollout-${input.rollout}.${input.attempt}`,
    {
      ...content,
      profile: PROFILE_VERSION,
      image: imageKey(config.environment, sample, hash),
      sampling: samplingOf(config.teacher, sample.key),
      seed: sample.seed,
      generation: input.generation,
    },
    hash,
  );
}
