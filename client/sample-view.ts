/** Everything the store knows of one sample, gathered for a person. */

import { renderVerdict } from '../domain/outcome.ts';
import type {
  CheckoutResult,
  RolloutResult,
  Sample,
  SampleEnd,
  SelfCheckResult,
  SyntheticPrResult,
  VerifyResult,
} from '../domain/sample.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import type { Trajectory, Turn } from '../domain/trajectory.ts';
import type { VerificationFacts } from '../domain/verification.ts';
import { CliError, EXIT } from './errors.ts';
import { requireBatch } from './session.ts';
import { readVerification } from './verifications.ts';
import { explain, samplesWithEnds } from './yield.ts';

export interface RolloutView {
  rolloutId: string;
  status: string;
  steps: number;
  model: string;
  simulated: boolean;
  costUsd: number | null;
  wallMs: number;
  /** The unified diff, or null when nothing changed. */
  patch: string | null;
  turns: Turn[];
}

export interface SampleView {
  batch: string;
  sample: Sample;
  verdict: string | null;
  reason: string;
  recall: VerifyResult['exact'] | null;
  sera: VerifyResult['sera'] | null;
  /** What verification recorded beside recall; of an earlier version a part. */
  facts: Partial<VerificationFacts> | null;
  selfCheck: 'yes' | 'no' | null;
  pr: { text: string; leak: number } | null;
  rollout1: RolloutView | null;
  rollout2: RolloutView | null;
  /** About the image. */
  warnings: string[];
  end: SampleEnd | null;
}

/** The sample of a `KEY` or `BATCH/KEY`. Throws CliError when none or several fit. */
export async function findSample(
  store: Store,
  name: string,
): Promise<{ batch: BatchRecord; sample: Sample }> {
  const slash = name.lastIndexOf('/');
  const [batchName, prefix] =
    slash < 0 ? [undefined, name] : [name.slice(0, slash), name.slice(slash + 1)];
  const names = batchName === undefined ? await store.batches.list() : [batchName];
  const found: { batch: BatchRecord; sample: Sample }[] = [];
  for (const each of names) {
    const batch = await requireBatch(store, each);
    for await (const { sample } of samplesWithEnds(store, batch.id)) {
      if (sample.key.startsWith(prefix)) found.push({ batch, sample });
    }
  }
  const [only, second] = found;
  if (only !== undefined && second === undefined) return only;
  const why =
    only === undefined
      ? 'no sample has that key'
      : `${found.length} samples fit: ${found
          .slice(0, 5)
          .map(({ batch, sample }) => `${batch.id}/${sample.key}`)
          .join(', ')}`;
  throw new CliError(EXIT.failed, `show ${name} — ${why}`, {
    next: 'twinpatch status BATCH lists the samples',
  });
}

export async function readSampleView(
  store: Store,
  batch: BatchRecord,
  sample: Sample,
): Promise<SampleView> {
  const end = await store.ends.of(batch.id, sample.key);
  const { results = {} } = end ?? {};
  const read = async <T>(name: string | undefined): Promise<T | undefined> =>
    name === undefined
      ? undefined
      : store.ledger.get<T>({ batchId: batch.id, sampleKey: sample.key, name });
  const [checkout, first, second, check, pr, verification] = await Promise.all([
    read<CheckoutResult>(results.checkout),
    read<RolloutResult>(results['rollout-1']),
    read<RolloutResult>(results['rollout-2']),
    read<SelfCheckResult>(results['self-check']),
    read<SyntheticPrResult>(results['synthetic-pr']),
    end && readVerification(store, batch, end),
  ]);
  const { exact, sera, sameImage: _same, ...facts } = verification ?? {};
  return {
    batch: batch.id,
    sample,
    verdict: end === undefined ? null : renderVerdict(end.verdict),
    reason: explain(end),
    recall: exact ?? null,
    sera: sera ?? null,
    facts: verification === undefined ? null : facts,
    selfCheck: check?.answer ?? null,
    pr: pr?.text == null ? null : { text: await readText(store, pr.text), leak: pr.leak },
    rollout1: first === undefined ? null : await toView(store, first),
    rollout2: second === undefined ? null : await toView(store, second),
    warnings: checkout?.warnings ?? [],
    end: end ?? null,
  };
}

// --- internal ---

async function toView(store: Store, result: RolloutResult): Promise<RolloutView> {
  const { turns } = await store.blobs.getJson<Trajectory>(result.trajectory);
  return {
    rolloutId: result.rolloutId,
    status: result.status,
    steps: result.steps,
    model: result.model,
    simulated: result.simulated,
    costUsd: result.spent.costUsd,
    wallMs: result.wallMs,
    patch: result.patch === null ? null : await readText(store, result.patch.ref),
    turns,
  };
}

async function readText(store: Store, ref: Parameters<Store['blobs']['get']>[0]): Promise<string> {
  return Buffer.from(await store.blobs.get(ref)).toString();
}
