/** Keys of stage results: made of what determines a result's content, and of nothing else. */

import type { BatchConfig } from './config.ts';
import { canonicalJson, type Hash } from './ids.ts';
import type { Sample } from './sample.ts';

/** Name of a result in the ledger: `rollout-1.2-<hash>`. */
export function stageName(stage: string, content: unknown, hash: Hash): string {
  return `${stage}-${hash(canonicalJson(content)).slice(0, 16)}`;
}

/** Key of a prepared image: base image or the text of its Dockerfile, snapshot and set-up. */
export function imageKey(
  environment: BatchConfig['environment'],
  sample: Pick<Sample, 'snapshot'>,
  hash: Hash,
): string {
  const { image, dockerfile, setup } = environment;
  return hash(canonicalJson({ image, dockerfile, setup, snapshot: sample.snapshot })).slice(0, 24);
}

/** What of the teacher's settings determines its text: neither endpoints nor prices nor deadlines. */
export function samplingOf(teacher: BatchConfig['teacher']) {
  const { temperature, topP, maxTokens, scripted } = teacher;
  const simulated = scripted && { seed: scripted.seed, policies: scripted.policies };
  return { model: modelOf(teacher), temperature, topP, maxTokens, simulated };
}

/** The model's name; the scripted teacher's is `scripted`. */
export function modelOf(teacher: BatchConfig['teacher']): string {
  return teacher.endpoints[0]?.model ?? 'scripted';
}
