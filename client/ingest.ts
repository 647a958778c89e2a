/** Takes a repository into the store: snapshots, functions and plan of a batch, all that its workers will need. */

import type { BatchConfig } from '../domain/config.ts';
import { demonstrationsOf } from '../domain/demonstrations.ts';
import { instructionsOf } from '../domain/instructions.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import { type FunctionRecord, listFunctions } from '../repository/functions.ts';
import { type PlannedCommit, planSamples } from '../repository/plan.ts';
import { writeSnapshot } from '../repository/snapshot.ts';
import type { LeftOut, Source } from '../repository/source-file.ts';
import { redactCredentials } from '../repository/git.ts';
import { RepositoryError } from '../repository/repository-error.ts';
import { guardSecrets } from '../repository/secret-guard.ts';
import { openSource } from '../repository/source.ts';
import { exclusively } from '../scripts/cache.mjs';
import { compareConfigs, renderChange } from './config-changes.ts';
import { CliError, EXIT } from './errors.ts';
import { renderLeftOut } from './left-out.ts';
import { packageVersion } from './package-root.ts';

export interface IngestInput {
  /** As `loadConfig` gives it: with absolute paths. */
  config: BatchConfig;
  store: Store;
  /** For our own git directories. */
  cacheDir: string;
  /** Instead of `targets.samples`. */
  samples?: number | undefined;
  onProgress: (line: string) => void;
  /** Asked before the batch is made or changed: what it throws leaves the batch as it was. */
  beforeChange?: () => Promise<void>;
  signal?: AbortSignal;
}

export interface Ingested {
  batch: BatchRecord;
  /** Samples in the manifest now. */
  planned: number;
  /** Samples that were not in it before. */
  appended: number;
}

/**
 * The batch of that name, made or completed. The first time everything is read from the repository; later the store alone
 * is asked, so a moved branch changes nothing: more samples are appended to the same plan, and values that do not determine
 * a sample are taken over, as is a repository that was moved. Of several at once the first one makes it. Throws CliError with
 * exit code 3 when other values changed; RepositoryError; StoreUnavailable.
 */
export async function ingest(input: IngestInput): Promise<Ingested> {
  const { config, store, onProgress } = input;
  // Two at once would append to one manifest.
  return exclusively(`batch-${store.id}-${config.name}`, onProgress, () => ingestAlone(input));
}

/** The samples of a configuration over the functions of its commits. Throws RepositoryError of kind `no-targets`. */
export function planBatch({ prompts, targets }: BatchConfig, commits: PlannedCommit[]) {
  return planSamples({
    commits,
    instructions: instructionsOf(prompts.instructions).map(({ id }) => id),
    demonstrations: demonstrationsOf(prompts.demonstrations).map(({ id }) => id),
    samples: targets.samples,
    seed: targets.seed,
  });
}

/** Commits of the configuration, each once, in its order. Throws RepositoryError of kind `unknown-commit`. */
export async function resolveCommits(
  source: Source,
  names: string[],
): Promise<{ name: string; commit: string }[]> {
  const resolved = new Map<string, string>();
  for (const name of names) {
    const commit = await source.resolve(name);
    if (!resolved.has(commit)) resolved.set(commit, name);
  }
  return [...resolved].map(([commit, name]) => ({ name, commit }));
}

export function withSamples(config: BatchConfig, samples: number | undefined): BatchConfig {
  return samples === undefined ? config : { ...config, targets: { ...config.targets, samples } };
}

// --- internal ---

async function ingestAlone(input: IngestInput): Promise<Ingested> {
  const { store, onProgress } = input;
  // What is stored names the source without its password; the source itself is opened with it.
  const config = withoutCredentials(withSamples(input.config, input.samples));
  const known = await store.batches.get(config.name);
  const batch =
    known === undefined ? await begin(config, input) : await takeOver(known, config, input);
  // The record comes first, so a manifest cut short by a crash is completed here.
  const before = await store.batches.planned(batch.id);
  const missing = batch.config.targets.samples - before;
  if (missing > 0) {
    const samples = planBatch(batch.config, await readCommits(batch, store));
    await store.batches.append(batch.id, samples);
    onProgress(`batch ${batch.id}: ${missing} samples planned`);
  }
  return { batch, planned: Math.max(before, before + missing), appended: Math.max(0, missing) };
}

function withoutCredentials(config: BatchConfig): BatchConfig {
  const source = redactCredentials(config.repository.source);
  return { ...config, repository: { ...config.repository, source } };
}

async function begin(config: BatchConfig, input: IngestInput): Promise<BatchRecord> {
  const { store, cacheDir, onProgress, signal } = input;
  await input.beforeChange?.();
  onProgress(`reading ${config.repository.source}`);
  const source = await openSource(input.config.repository.source, {
    cacheDir,
    ...(signal !== undefined && { signal }),
  });
  const commits: BatchRecord['commits'] = [];
  const planned: PlannedCommit[] = [];
  for (const { name, commit } of await resolveCommits(source, config.repository.commits)) {
    const leftOut = new Map<string, string>();
    const onLeftOut = ({ path, reason }: LeftOut) => leftOut.set(path, reason);
    const secrets = new Map<string, string>();
    const guarded = guardSecrets(source, config.repository.secrets, (path, what) =>
      secrets.set(path, what),
    );
    const archive = writeSnapshot(guarded.files(commit, onLeftOut));
    const snapshot = await store.blobs.putStream(archive as AsyncIterable<Uint8Array>);
    const functions: FunctionRecord[] = [];
    const targets = { ...config.repository, ...config.targets };
    for await (const found of listFunctions(guarded.files(commit), targets, onLeftOut)) {
      functions.push(found);
    }
    for (const line of renderLeftOut(leftOut)) onProgress(line);
    for (const line of renderLeftOut(secrets, 'secrets')) onProgress(line);
    onProgress(`${name} is ${commit}: ${functions.length} functions found`);
    planned.push({ commit, snapshot, functions });
    commits.push({ name, commit, snapshot, functions: await store.blobs.putJson(functions) });
  }
  // Fails here when nothing is eligible, before the batch exists.
  planBatch(withSamples(config, 1), planned);
  const functions = planned.flatMap((each) => each.functions);
  const batch: BatchRecord = {
    id: config.name,
    storeId: store.id,
    formatVersion: 1,
    config,
    repository: source.label,
    commits,
    functions: {
      found: functions.length,
      eligible: functions.filter(({ eligible }) => eligible).length,
    },
    simulated: config.teacher.scripted !== undefined,
    versions: { twinpatch: packageVersion(), node: process.versions.node },
    createdAt: new Date().toISOString(),
  };
  const begun = await store.batches.begin(batch);
  // Another host was faster: the batch is what it made of it.
  return begun === batch ? batch : takeOver(begun, config, input);
}

async function takeOver(
  known: BatchRecord,
  config: BatchConfig,
  input: IngestInput,
): Promise<BatchRecord> {
  const { store, onProgress } = input;
  const { pinned, free, moreSamples } = compareConfigs(known.config, config);
  const moved = pinned.find(({ key }) => key === 'repository.source');
  if (moved !== undefined && (await holdsCommits(known, input))) {
    pinned.splice(pinned.indexOf(moved), 1);
    free.push(moved);
  }
  if (pinned.length > 0) {
    const lines = pinned.map((change) =>
      change === moved
        ? `  ${renderChange(change)}, which lacks the commits of the batch`
        : `  ${renderChange(change)}`,
    );
    throw new CliError(
      EXIT.config,
      `batch ${known.id} was started with other values — the same name is the same batch:\n${lines.join('\n')}`,
      { next: 'use another --name, or set these values back' },
    );
  }
  if (free.length === 0 && moreSamples === 0) return known;
  await input.beforeChange?.();
  for (const change of free) onProgress(`batch ${known.id} takes over ${renderChange(change)}`);
  const batch = { ...known, config };
  await store.batches.put(batch);
  const [before, after] = [known.config.budget, config.budget];
  const caps = (['maxCostUsd', 'maxTokens', 'maxHours'] as const).filter(
    (cap) => before[cap] !== after[cap],
  );
  await store.tunings.change(batch.id, Object.fromEntries(caps.map((cap) => [cap, null])));
  return batch;
}

/** Whether the repository is the batch's own, at another place. */
async function holdsCommits(
  { commits }: BatchRecord,
  { config, cacheDir, signal }: IngestInput,
): Promise<boolean> {
  try {
    const source = await openSource(config.repository.source, {
      cacheDir,
      ...(signal !== undefined && { signal }),
    });
    for (const { commit } of commits) await source.resolve(commit);
    return true;
  } catch (error) {
    if (error instanceof RepositoryError) return false;
    throw error;
  }
}

async function readCommits(batch: BatchRecord, { blobs }: Store): Promise<PlannedCommit[]> {
  return Promise.all(
    batch.commits.map(async ({ commit, snapshot, functions }) => ({
      commit,
      snapshot,
      functions: await blobs.getJson<FunctionRecord[]>(functions),
    })),
  );
}
