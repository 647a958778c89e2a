/** The ended samples of a batch as an export is fed: verdicts from the summary, rollouts read from the store when asked for. */

import { basename, isAbsolute } from 'node:path';
import type { FinishedSample, RolloutSide } from '../dataset/select.ts';
import type {
  RolloutResult,
  Sample,
  SampleEnd,
  SelfCheckResult,
  SyntheticPrResult,
} from '../domain/sample.ts';
import { samplingOf } from '../domain/stage-key.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import type { Trajectory } from '../domain/trajectory.ts';
import type { FindLicence } from './licences.ts';
import { readVerification } from './verifications.ts';
import { samplesWithEnds } from './yield.ts';

/** Samples whose results are read before they are asked for: each takes some reads of a few hundred bytes. */
const READ_AHEAD = 32;

/** In the manifest's order; samples without a verdict are left out. */
export async function* finishedSamples(
  store: Store,
  batch: BatchRecord,
  findLicence: FindLicence,
): AsyncGenerator<FinishedSample> {
  const ahead: Promise<FinishedSample>[] = [];
  for await (const { sample, end } of samplesWithEnds(store, batch.id)) {
    if (end === undefined) continue;
    const finished = toFinished(store, batch, sample, end, findLicence);
    // It may fail before its turn comes, and is thrown then.
    finished.catch(() => undefined);
    ahead.push(finished);
    if (ahead.length >= READ_AHEAD) yield ahead.shift()!;
  }
  yield* ahead;
}

/** The repository as rows and manifests name it: a path of this machine says nothing to those who get them. */
export function publicName({ repository }: BatchRecord): string {
  return isAbsolute(repository) ? basename(repository) : repository;
}

// --- internal ---

async function toFinished(
  store: Store,
  batch: BatchRecord,
  sample: Sample,
  end: SampleEnd,
  findLicence: FindLicence,
): Promise<FinishedSample> {
  const result = <T>(name: string | undefined) =>
    name === undefined
      ? undefined
      : store.ledger.get<T>({ batchId: batch.id, sampleKey: sample.key, name });
  const [t1, t2, check, pr] = await Promise.all([
    result<RolloutResult>(end.results['rollout-1']),
    result<RolloutResult>(end.results['rollout-2']),
    result<SelfCheckResult>(end.results['self-check']),
    result<SyntheticPrResult>(end.results['synthetic-pr']),
  ]);
  return {
    sampleKey: sample.key,
    target: { ...sample.target, repository: publicName(batch) },
    verdict: end.verdict,
    ...(pr && { leak: pr.leak }),
    ...(end.recall && { recall: end.recall }),
    ...(check && { selfCheck: check.answer }),
    ...(t1 && { t1: toSide(store, t1) }),
    ...(t2 && { t2: toSide(store, t2) }),
    licence: () => findLicence(sample.snapshot),
    verification: () => readVerification(store, batch, end),
    provenance: provenanceOf(batch, sample, end),
  };
}

function toSide(store: Store, result: RolloutResult): RolloutSide {
  return {
    rolloutId: result.rolloutId,
    status: result.status,
    simulated: result.simulated,
    trajectory: () => store.blobs.getJson<Trajectory>(result.trajectory),
    patch: async () =>
      result.patch === null ? '' : Buffer.from(await store.blobs.get(result.patch.ref)).toString(),
    provenance: {
      model: result.model,
      steps: result.steps,
      imageId: result.sandbox.imageId,
      patch: result.patch?.ref ?? null,
      costUsd: result.spent.costUsd,
    },
  };
}

/** What shaped the rows of a sample. */
function provenanceOf(batch: BatchRecord, sample: Sample, { attempt = 1, generation }: SampleEnd) {
  const { temperature, topP, maxTokens } = samplingOf(batch.config.teacher, sample.key);
  const { profile, maxCostUsd, ...limits } = batch.config.rollout;
  return {
    batch: batch.id,
    repository: publicName(batch),
    commit: sample.commit,
    file: sample.target.file,
    function: sample.target.name,
    language: sample.target.language,
    instruction: sample.instructions[attempt - 1] ?? '',
    demonstration: sample.demonstration,
    seed: sample.seed,
    attempt,
    generation,
    sampling: { temperature, topP, maxTokens: maxTokens ?? null },
    profile,
    limits: { ...limits, maxCostUsd: maxCostUsd ?? null },
    versions: batch.versions,
  };
}
