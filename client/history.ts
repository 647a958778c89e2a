/** What samples took that have ended before: those of the same configuration, else of the same repository and model, else of the model. */

import type { BatchConfig } from '../domain/config.ts';
import { canonicalJson, isPreview } from '../domain/ids.ts';
import { isContentVerdict } from '../domain/outcome.ts';
import type { RolloutResult, SampleEnd } from '../domain/sample.ts';
import { modelsOf } from '../domain/stage-key.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import { addUsage, NO_USAGE, type Usage } from '../domain/trajectory.ts';
import { pinnedValues } from './config-changes.ts';
import { isAccepted } from './yield.ts';

export interface History {
  /** Samples that it is made of. */
  samples: number;
  /** Where they are from, in words. */
  source: string;
  /** Of a sample. */
  mean: {
    rollouts: number;
    usage: Usage;
    /** Of its rollouts, one after the other. */
    seconds: number;
    /** From 0 to 1. */
    accepted: number;
  };
}

/** More than this say nothing new. */
const MAX_SAMPLES = 500;

/** Undefined where no sample of the store fits. */
export async function readHistory(
  store: Store,
  config: BatchConfig,
  repository: string,
): Promise<History | undefined> {
  const batches: BatchRecord[] = [];
  for (const id of await store.batches.list()) {
    const batch = await store.batches.get(id);
    if (batch !== undefined && isSameModel(batch.config, config)) batches.push(batch);
  }
  const isSame = (batch: BatchRecord) => pinnedValues(batch.config) === pinnedValues(config);
  const classes: [what: string, batches: BatchRecord[]][] = [
    ['the same configuration', batches.filter(isSame)],
    ['the same repository and model', batches.filter((batch) => batch.repository === repository)],
    ['the same model', batches],
  ];
  for (const [what, candidates] of classes) {
    const taken = await readTaken(store, candidates);
    if (taken.length > 0) return toHistory(taken, sourceOf(what, candidates));
  }
  return undefined;
}

// --- internal ---

interface Taken {
  rollouts: number;
  usage: Usage;
  seconds: number;
  isAccepted: boolean;
}

function isSameModel(a: BatchConfig, b: BatchConfig): boolean {
  return canonicalJson(modelsOf(a.teacher)) === canonicalJson(modelsOf(b.teacher));
}

function sourceOf(what: string, batches: BatchRecord[]): string {
  const [first, ...others] = batches.map(({ id }) => id);
  if (first === undefined || others.length > 0) return what;
  return isPreview(first) ? `the preview of ${what}` : `${first} (${what})`;
}

async function readTaken(store: Store, batches: BatchRecord[]): Promise<Taken[]> {
  const taken: Taken[] = [];
  for (const { id } of batches) {
    for await (const end of store.ends.stream(id)) {
      if (taken.length >= MAX_SAMPLES) return taken;
      if (isContentVerdict(end.verdict)) taken.push(await toTaken(store, id, end));
    }
  }
  return taken;
}

async function toTaken(store: Store, batchId: string, end: SampleEnd): Promise<Taken> {
  const { key: sampleKey, attempt = 1, results, spent, wasted } = end;
  const secondsOf = async (name: string | undefined) => {
    if (name === undefined) return 0;
    const result = await store.ledger.get<RolloutResult>({ batchId, sampleKey, name });
    return (result?.wallMs ?? 0) / 1000;
  };
  const [first, second] = await Promise.all([
    secondsOf(results['rollout-1']),
    secondsOf(results['rollout-2']),
  ]);
  return {
    rollouts: attempt + (results['rollout-2'] === undefined ? 0 : 1),
    usage: addUsage(spent.usage, wasted.usage),
    // Earlier attempts are taken to last as long as the one that counts.
    seconds: first * attempt + second,
    isAccepted: isAccepted(end),
  };
}

function toHistory(taken: Taken[], source: string): History {
  const samples = taken.length;
  const mean = (of: (each: Taken) => number) =>
    taken.reduce((sum, each) => sum + of(each), 0) / samples;
  const usage = taken.reduce((sum, each) => addUsage(sum, each.usage), NO_USAGE);
  return {
    samples,
    source,
    mean: {
      rollouts: mean(({ rollouts }) => rollouts),
      usage: {
        inputTokens: usage.inputTokens / samples,
        cachedInputTokens: usage.cachedInputTokens / samples,
        outputTokens: usage.outputTokens / samples,
        reasoningTokens: usage.reasoningTokens / samples,
      },
      // A rollout that was parked over night says nothing about the next one.
      seconds: medianOf(taken.map(({ seconds }) => seconds)),
      accepted: mean(({ isAccepted }) => (isAccepted ? 1 : 0)),
    },
  };
}

function medianOf(numbers: number[]): number {
  const sorted = numbers.sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
