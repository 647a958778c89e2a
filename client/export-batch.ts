/** Writes the rows of a batch, and checks them when asked. */

import { checkDataset } from '../dataset/check.ts';
import type { DatasetManifest } from '../dataset/manifest.ts';
import { DatasetError } from '../dataset/folder.ts';
import { writeDataset } from '../dataset/write.ts';
import { modelsOf } from '../domain/stage-key.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import { CliError, EXIT } from './errors.ts';
import { finishedSamples, publicName } from './finished-samples.ts';

export interface ExportOptions {
  minRecall: number;
  recallMode: 'exact' | 'sera';
  check?: boolean | undefined;
}

/** Returns the manifest, and the problems the check found, one line each. Throws CliError when the folder can't be written. */
export async function exportBatch(
  store: Store,
  batch: BatchRecord,
  directory: string,
  { minRecall, recallMode, check }: ExportOptions,
): Promise<{ manifest: DatasetManifest; problems: string[] }> {
  const planned = await store.batches.planned(batch.id);
  const { config, id, commits } = batch;
  const options = {
    directory,
    minRecall,
    recallMode,
    planned,
    simulated: batch.simulated,
    batch: {
      id,
      repository: publicName(batch),
      commits: commits.map(({ commit }) => commit),
      seed: config.targets.seed,
      model: modelsOf(config.teacher).join(', '),
    },
  };
  const manifest = await writeDataset(finishedSamples(store, batch), options).catch(
    (error: unknown) => {
      if (error instanceof DatasetError)
        throw new CliError(EXIT.failed, error.message, { cause: error });
      throw error;
    },
  );
  const problems = check === true ? await checkDataset(directory) : [];
  return {
    manifest,
    problems: problems.map(
      ({ file, line, message }) => `${file}${line === null ? '' : `:${line}`}: ${message}`,
    ),
  };
}
