/** Keys of stage results: made of what determines a result's content, and of nothing else. */

import type { BatchConfig } from './config.ts';
import { canonicalJson, type Hash, sampleIndex } from './ids.ts';
import type { Sample } from './sample.ts';

type TeacherConfig = BatchConfig['teacher'];
type EndpointConfig = TeacherConfig['endpoints'][number];

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

/** What determines a sample's texts of the teacher's settings: neither endpoints nor prices nor deadlines. */
export function samplingOf(teacher: TeacherConfig, sampleKey: string) {
  const { scripted } = teacher;
  const model = modelOf(teacher, sampleKey);
  const simulated = scripted && { seed: scripted.seed, policies: scripted.policies };
  const endpoints = teacher.endpoints.filter((each) => modelIdOf(teacher, each) === model);
  const bodies = endpoints.flatMap(({ body }) => (body === undefined ? [] : [canonicalJson(body)]));
  return {
    model,
    ...settingsOf(teacher, endpoints[0]),
    simulated,
    body: bodies.length === 0 ? undefined : [...new Set(bodies)].sort(),
  };
}

/** How an endpoint's model is asked: by its own settings, else by the teacher's. Endpoints of one model say the same. */
export function settingsOf(teacher: TeacherConfig, endpoint: EndpointConfig | undefined) {
  const { temperature, topP, maxTokens, thinking } = teacher;
  return {
    temperature: endpoint?.temperature ?? temperature,
    topP: endpoint?.topP ?? topP,
    maxTokens: endpoint?.maxTokens ?? maxTokens,
    thinking: endpoint?.thinking ?? thinking,
    sendsReasoning: endpoint?.reasoningField === undefined ? undefined : true,
  };
}

/** The models of a batch, sorted; the scripted teacher's is `scripted`. */
export function modelsOf(teacher: TeacherConfig): string[] {
  const models = teacher.endpoints.map((endpoint) => modelIdOf(teacher, endpoint));
  return models.length === 0 ? ['scripted'] : [...new Set(models)].sort();
}

/** The model of a sample, in all its stages: of several, the samples have one after the other. */
export function modelOf(teacher: TeacherConfig, sampleKey: string): string {
  const models = modelsOf(teacher);
  return models[sampleIndex(sampleKey) % models.length] ?? models[0] ?? '';
}

/** Which model an endpoint serves; where no id is given, all serve the first one's. */
export function modelIdOf(
  { endpoints }: TeacherConfig,
  { modelId, model }: EndpointConfig,
): string {
  return modelId ?? endpoints[0]?.model ?? model;
}
