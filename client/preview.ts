/** A few real samples of a configuration, in a batch of their own: what the batch itself will be like, before it is paid for. */

import type { BatchConfig } from '../domain/config.ts';
import { previewName } from '../domain/ids.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import { sha256 } from '../store/blobs.ts';
import { openStore } from '../store/open.ts';
import { sourceCacheFolder } from './cache-folder.ts';
import { pinnedValues } from './config-changes.ts';
import { type Estimate, estimate } from './estimate.ts';
import { readHistory } from './history.ts';
import { ingest, withSamples } from './ingest.ts';
import { checkGround } from './launch.ts';
import { type Io, note } from './output.ts';
import { exitCodeOf, runBatch, type RunOptions } from './run-batch.ts';
import type { BatchState } from './batch-state.ts';
import { readSampleView, type SampleView } from './sample-view.ts';
import { workspaceOf } from './workspace.ts';

export interface Preview {
  state: BatchState;
  /** In the manifest's order; the batch's first samples are the same ones. */
  samples: SampleView[];
  /** For the whole batch, from what these took. */
  estimate: Estimate;
}

/**
 * Runs the first `samples` samples to their end, and sets the exit code. Those that were previewed before with the same values are
 * shown again, and not bought again. Undefined when the user turned away from it.
 */
export async function runPreview(
  io: Io,
  config: BatchConfig,
  samples: number,
  options: RunOptions,
): Promise<Preview | undefined> {
  const workspace = workspaceOf(config.store);
  const store = await openStore(workspace.store);
  const name = previewName(config.name, sha256(pinnedValues(config)));
  const begun = (await store.batches.get(name))?.config.targets.samples ?? 0;
  const { batch } = await ingest({
    config: withSamples({ ...config, name }, Math.max(begun, samples)),
    store,
    cacheDir: sourceCacheFolder(io.env),
    onProgress: (line) => void note(io, line),
    beforeChange: () => checkGround(workspace, options),
  });
  const state = await runBatch(io, { store, workspace }, batch, options);
  if (state === undefined) return undefined;
  process.exitCode = exitCodeOf(state);
  const history = await readHistory(store, config, batch.repository);
  return {
    state,
    samples: await viewsOf(store, batch, samples),
    estimate: estimate(config.targets.samples, config, history),
  };
}

// --- internal ---

async function viewsOf(store: Store, batch: BatchRecord, count: number): Promise<SampleView[]> {
  const samples = await store.batches.samples(batch.id, 0, count);
  return Promise.all(samples.map((sample) => readSampleView(store, batch, sample)));
}
