/** From functions to rows: how many there are at each stage, why the others are not, and what each filter costs. */

import { DatasetError } from '../dataset/folder.ts';
import { weighFilters, type WeighedRows } from '../dataset/filter-costs.ts';
import { formatOf } from '../dataset/formats/formats.ts';
import type { BatchSummary } from '../dataset/manifest.ts';
import type { FinishedSample } from '../dataset/select.ts';
import { RECALL_MODES, type RecallMode } from '../domain/recall.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import { addCost } from '../domain/trajectory.ts';
import type { FunctionRecord } from '../repository/functions.ts';
import { summarizeBatch } from './batch-summary.ts';
import { CliError, EXIT } from './errors.ts';
import { finishedSamples, publicName } from './finished-samples.ts';
import { FunctionCounts } from './function-counts.ts';
import { createFindLicence } from './licences.ts';
import { type PaidStats, readPaid } from './paid-stats.ts';
import type { SelectionOptions } from './selection-options.ts';
import { toSurveyOptions } from './survey-options.ts';
import { samplesWithEnds } from './yield.ts';

export interface BatchStats extends Omit<WeighedRows, 'rows' | 'simulated'> {
  batches: string[];
  simulated: boolean;
  /** Functions by name and file, each once for all commits and batches. */
  functions: {
    found: number;
    /** At one of the commits at least. */
    eligible: number;
    /** The others, by reason. */
    notEligible: Record<string, number>;
    /** Those a sample is planned for. */
    planned: number;
    /** Those with a verified sample. */
    verified: number;
    /** Those with a row. */
    inRows: number;
  };
  /** Verified samples by recall: how many have at least so much, and how many none because no line counts. */
  recall: Record<RecallMode, { atLeast: Record<string, number>; undefined: number }>;
  /** Over all batches. */
  spent: BatchSummary['spent'];
  paid: PaidStats;
  /** USD; null where unpriced, and without rows. */
  costPerRowUsd: number | null;
}

export interface StatsOptions extends SelectionOptions {
  /** Folder of the tokenizer that counts tokens. */
  tokenizer?: string | undefined;
}

/** Reads plans, functions and every finished sample; keeps no trajectory. Throws CliError. */
export async function readStats(
  store: Store,
  batches: BatchRecord[],
  options: StatsOptions,
): Promise<BatchStats> {
  const functions = await readFunctions(store, batches);
  const findLicence = createFindLicence(store);
  const recall = emptyRecalls();
  const verified = new Set<string>();
  async function* samples(): AsyncGenerator<FinishedSample> {
    for (const batch of batches) {
      for await (const sample of finishedSamples(store, batch, findLicence)) {
        if (sample.verdict.kind === 'verified') {
          verified.add(nameOf(sample.target.repository, sample.target));
          for (const mode of RECALL_MODES) addRecall(recall[mode], sample.recall?.[mode] ?? null);
        }
        yield sample;
      }
    }
  }
  const planned = await Promise.all(batches.map(({ id }) => store.batches.planned(id)));
  const total = planned.reduce((sum, count) => sum + count, 0);
  const { rows, simulated, ...weighed } = await toCountedOptions(options)
    .then((asked) =>
      weighFilters(samples(), formatOf(options.format ?? 'hermes'), { ...asked, planned: total }),
    )
    .catch((error: unknown) => {
      if (error instanceof DatasetError)
        throw new CliError(EXIT.failed, error.message, { cause: error });
      throw error;
    });
  const spent = addUp(
    await Promise.all(batches.map((batch) => summarizeBatch(store, batch, findLicence))),
  );
  return {
    batches: batches.map(({ id }) => id),
    simulated: simulated ?? batches.some((batch) => batch.simulated),
    functions: {
      ...functions,
      verified: verified.size,
      inRows: new Set(rows.map((row) => row.function)).size,
    },
    ...weighed,
    recall,
    spent,
    paid: await readPaid(store, batches, options.minRecall),
    costPerRowUsd: spent.costUsd === null || rows.length === 0 ? null : spent.costUsd / rows.length,
  };
}

// --- internal ---

const RECALLS = [0, 0.25, 0.5, 0.75, 1];

async function toCountedOptions({ tokenizer, ...options }: StatsOptions) {
  const asked = toSurveyOptions(options);
  if (tokenizer === undefined) return asked;
  const { openTarget } = await import('../dataset/target.ts');
  const target = await openTarget(tokenizer);
  return {
    ...asked,
    conversation: { ...asked.conversation, ownTokens: target.controlTokens },
    views: { ...asked.views, countTokens: (text: string) => target.encode(text).length },
  };
}

function emptyRecalls(): BatchStats['recall'] {
  const empty = () => ({
    atLeast: Object.fromEntries(RECALLS.map((recall) => [String(recall), 0])),
    undefined: 0,
  });
  return { exact: empty(), sera: empty() };
}

function addRecall(counts: BatchStats['recall'][RecallMode], recall: number | null): void {
  if (recall === null) counts.undefined += 1;
  for (const bound of RECALLS)
    if (recall !== null && recall >= bound) counts.atLeast[String(bound)]! += 1;
}

function nameOf(repository: string, { file, name }: { file: string; name: string }): string {
  return JSON.stringify([repository, file, name]);
}

async function readFunctions(store: Store, batches: BatchRecord[]) {
  /** By name: the function, eligible where it is at any commit. */
  const found = new Map<string, FunctionRecord>();
  const planned = new Set<string>();
  for (const batch of batches) {
    const repository = publicName(batch);
    for (const commit of batch.commits) {
      for (const each of await store.blobs.getJson<FunctionRecord[]>(commit.functions)) {
        const name = nameOf(repository, each);
        if (found.get(name)?.eligible !== true) found.set(name, each);
      }
    }
    for await (const { sample } of samplesWithEnds(store, batch.id))
      planned.add(nameOf(repository, sample.target));
  }
  const counts = new FunctionCounts();
  for (const each of found.values()) counts.add(each);
  return {
    found: counts.found,
    eligible: counts.eligible,
    notEligible: counts.reasons,
    planned: planned.size,
  };
}

function addUp(batches: BatchSummary[]): BatchSummary['spent'] {
  const total: BatchSummary['spent'] = {
    calls: 0,
    inputTokens: 0,
    cachedInputTokens: 0,
    outputTokens: 0,
    costUsd: 0,
  };
  for (const { spent } of batches) {
    total.calls += spent.calls;
    total.inputTokens += spent.inputTokens;
    total.cachedInputTokens += spent.cachedInputTokens;
    total.outputTokens += spent.outputTokens;
    total.costUsd = addCost(total.costUsd, spent.costUsd);
  }
  return total;
}
