/** Writes the rows of batches, and checks them when asked. */

import { DatasetError } from '../dataset/folder.ts';
import type { DatasetManifest } from '../dataset/manifest.ts';
import type { RenderingReport } from '../dataset/row-rendering.ts';
import type { FinishedSample } from '../dataset/select.ts';
import { writeDataset, type WriteOptions } from '../dataset/write.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import { summarizeBatch } from './batch-summary.ts';
import { prepareCheck } from './check-export.ts';
import { CliError, EXIT } from './errors.ts';
import { finishedSamples } from './finished-samples.ts';
import { createFindLicence, type FindLicence } from './licences.ts';
import type { SelectionOptions } from './selection-options.ts';
import { toSurveyOptions } from './survey-options.ts';

export interface ExportOptions extends SelectionOptions {
  arguments?: 'object' | 'string' | undefined;
  fileType?: 'jsonl' | 'parquet' | undefined;
  shardRows?: number | undefined;
  check?: boolean | undefined;
  /** Folder of the tokenizer of the model the rows are for; every row is checked with it. */
  tokenizer?: string | undefined;
}

/**
 * Returns the manifest, the problems the check found, one line each, and what rendering the rows showed where a tokenizer is named.
 * Throws CliError when the folder can't be written, or the tokenizer can't be read.
 */
export async function exportBatches(
  store: Store,
  batches: BatchRecord[],
  directory: string,
  options: ExportOptions,
): Promise<{
  manifest: DatasetManifest;
  problems: string[];
  rendering: RenderingReport | undefined;
}> {
  const planned = await Promise.all(batches.map(({ id }) => store.batches.planned(id)));
  const write = toWriteOptions(options);
  const findLicence = createFindLicence(store);
  try {
    const check = await prepareCheck(options, write);
    const manifest = await writeDataset(() => samplesOf(store, batches, findLicence), {
      ...write,
      conversation: { ...write.conversation, ownTokens: check.ownTokens },
      views: { ...write.views, countTokens: check.countTokens ?? write.views.countTokens },
      directory,
      planned: planned.reduce((total, count) => total + count, 0),
      simulated: batches.some(({ simulated }) => simulated),
      batches: await Promise.all(batches.map((batch) => summarizeBatch(store, batch, findLicence))),
    });
    return { manifest, ...(await check.run(directory)) };
  } catch (error) {
    if (error instanceof DatasetError)
      throw new CliError(EXIT.failed, error.message, { cause: error });
    throw error;
  }
}

// --- internal ---

function toWriteOptions(
  options: ExportOptions,
): Omit<WriteOptions, 'directory' | 'planned' | 'simulated' | 'batches'> {
  return {
    ...toSurveyOptions(options),
    format: options.format ?? 'hermes',
    argumentsAs: options.arguments ?? 'object',
    fileType: options.fileType ?? 'jsonl',
    shardRows: options.shardRows,
  };
}

async function* samplesOf(
  store: Store,
  batches: BatchRecord[],
  findLicence: FindLicence,
): AsyncGenerator<FinishedSample> {
  for (const batch of batches) yield* finishedSamples(store, batch, findLicence);
}
