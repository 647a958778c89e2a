/** Streams finished samples into the files of an export: one reading chooses the rows, a second one writes them. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderCard, renderServing } from './card.ts';
import type { ChosenRow } from './choose.ts';
import { readExample } from './examples.ts';
import { DatasetError, type FindForeign, replaceFolder } from './folder.ts';
import type { Format } from './formats/format.ts';
import { formatOf } from './formats/formats.ts';
import type { FormatName } from './formats/names.ts';
import {
  MANIFEST_NAME,
  type BatchSummary,
  type DatasetManifest,
  readManifest,
  type Split,
} from './manifest.ts';
import { openLines, openParquet, type RowFile } from './row-files.ts';
import { KINDS, type FinishedSample, type Kind } from './select.ts';
import type { Example, Row } from './row.ts';
import { selectRows } from './select-rows.ts';
import type { SurveyOptions } from './survey.ts';
import type { Json } from './text.ts';
import { renderTraining } from './training.ts';
import { toShownViews } from './views.ts';

export interface WriteOptions extends SurveyOptions {
  /** Made or replaced; it may hold nothing but an earlier export. */
  directory: string;
  format: FormatName;
  argumentsAs: 'object' | 'string';
  fileType: 'jsonl' | 'parquet';
  /** Rows of a file at most; undefined: all in one. */
  shardRows: number | undefined;
  /** What the files say where they hold no row that tells. */
  simulated: boolean;
  /** What the plans were of, for the manifest. */
  batches: BatchSummary[];
}

/**
 * Writes the rows of T1 and T2 (`….SIMULATED…` where the scripted teacher made them), `manifest.json`, a card, how to serve a
 * model, and configurations of trainers; returns the manifest. `samples` is asked twice; one trajectory is in memory at a time. Equal input gives equal bytes. Throws DatasetError.
 */
export async function writeDataset(
  samples: () => AsyncIterable<FinishedSample>,
  options: WriteOptions,
): Promise<DatasetManifest> {
  const format = formatOf(options.format, options.argumentsAs);
  if (options.fileType === 'parquet' && format.columns === undefined) {
    throw new DatasetError(
      `${format.name} is a format of JSON documents and has no columns: leave --file-type parquet out`,
    );
  }
  return replaceFolder(options.directory, findForeign(options), async (folder) => {
    const { rows, ...selected } = await selectRows(samples(), format, options);
    const simulated = selected.simulated ?? options.simulated;
    const written = await writeRows(samples(), folder, format, rows, { ...options, simulated });
    const manifest: DatasetManifest = {
      formatVersion: 2,
      format: options.format,
      fileType: options.fileType,
      simulated,
      batches: options.batches,
      options: toShown(options),
      samples: selected.samples,
      t1: selected.t1,
      t2: selected.t2,
      views: selected.views,
      files: written.files,
    };
    const beside = {
      [MANIFEST_NAME]: `${JSON.stringify(manifest, null, 2)}\n`,
      'README.md': renderCard(manifest, format.columns),
      ...(written.first && { 'SERVING.md': renderServing(format, written.first) }),
      ...renderTraining(manifest),
    };
    for (const [name, text] of Object.entries(beside))
      await writeFile(join(folder, name), text, { flag: 'wx', flush: true });
    return manifest;
  });
}

// --- internal ---

const EXPORT_FILE =
  /^(?:t[12](?:\.held-out)?(?:-\d{5}-of-\d{5})?(?:\.SIMULATED)?\.(?:jsonl|parquet)|(?:manifest|dataset_info)\.json|README\.md|SERVING\.md|(?:axolotl|llama_factory)\.yaml|(?:trl|unsloth)_sft\.py)$/;

/** Only an earlier export is replaced, and one of real rows by no simulated ones. */
function findForeign({ simulated }: WriteOptions): FindForeign {
  return async (folder, names) => {
    const foreign = names.find((name) => !EXPORT_FILE.test(name));
    if (foreign !== undefined) return `${foreign}, which is not of an export`;
    const manifest = await readManifest(folder);
    if ('problem' in manifest) return `${names[0]}, which is not of an export`;
    return simulated && !manifest.simulated
      ? 'an export of rows that are not simulated'
      : undefined;
  };
}

/** The files of one kind and split of rows, filled one after the other. */
interface Shards {
  append(id: string, render: () => Promise<Row>): Promise<void>;
  finish(): Promise<DatasetManifest['files']>;
  close(): Promise<void>;
}

async function writeRows(
  samples: AsyncIterable<FinishedSample>,
  folder: string,
  format: Format,
  rows: ChosenRow[],
  options: WriteOptions,
): Promise<{ files: DatasetManifest['files']; first: Example | undefined }> {
  let first: Example | undefined;
  const splits: Split[] = options.views.heldOut === undefined ? ['train'] : ['train', 'held-out'];
  const shards = KINDS.flatMap((kind) =>
    splits.map((split) => {
      const ids = rows
        .filter((row) => row.kind === kind && row.split === split)
        .map(({ id }) => id);
      return { kind, files: openShards({ kind, split, ids }, folder, format, options) };
    }),
  );
  try {
    for await (const sample of samples) {
      for (const { kind, files } of shards) {
        const side = sample[kind];
        if (side === undefined) continue;
        await files.append(side.rolloutId, async () => {
          const read = await readExample(sample, side, options);
          if ('lost' in read) throw changedMeanwhile(side.rolloutId);
          first ??= read.written;
          return format.render(read.written);
        });
      }
    }
    const written: DatasetManifest['files'] = [];
    for (const { files } of shards) written.push(...(await files.finish()));
    return { files: written, first };
  } finally {
    for (const { files } of shards) await files.close();
  }
}

/** Rows come in the order of the ids, so one file is open at a time. */
function openShards(
  { kind, split, ids }: { kind: Kind; split: Split; ids: string[] },
  folder: string,
  format: Format,
  { fileType, simulated, ...options }: WriteOptions,
): Shards {
  const shardRows = options.shardRows ?? Math.max(1, ids.length);
  const left = new Set(ids);
  const total = Math.max(1, Math.ceil(ids.length / shardRows));
  const files: DatasetManifest['files'] = [];
  let current: { name: string; file: RowFile; rows: number } | undefined;
  const begin = async () => {
    const own = split === 'train' ? '' : `.${split}`;
    const part =
      options.shardRows !== undefined ? `-${padded(files.length)}-of-${padded(total)}` : '';
    const name = `${kind}${own}${part}${simulated ? '.SIMULATED' : ''}.${fileType}`;
    const path = join(folder, name);
    const file =
      fileType === 'parquet' && format.columns !== undefined
        ? await openParquet(path, format.columns)
        : await openLines(path);
    current = { name, file, rows: 0 };
    return current;
  };
  const end = async () => {
    const { name, file, rows } = current ?? (await begin());
    files.push({ name, kind, split, rows, ...(await file.finish()) });
    await file.close();
    current = undefined;
  };
  return {
    async append(id, render) {
      if (!left.delete(id)) return;
      const row = await render();
      const to = current ?? (await begin());
      await to.file.append(row);
      to.rows += 1;
      if (to.rows === shardRows) await end();
    },
    async finish() {
      const [missing] = left;
      if (missing !== undefined) throw changedMeanwhile(missing);
      if (current !== undefined || files.length === 0) await end();
      return files;
    },
    async close() {
      await current?.file.close();
    },
  };
}

function padded(value: number): string {
  return String(value).padStart(5, '0');
}

function changedMeanwhile(rolloutId: string): DatasetError {
  return new DatasetError(
    `${rolloutId} was chosen and is no longer there: something changed the batch meanwhile; export again`,
  );
}

/** What was asked for, as the manifest shows it; nothing of this machine. */
function toShown(options: WriteOptions): Record<string, Json> {
  const { minRecall, recallMode, endStatus, conversation, argumentsAs, shardRows } = options;
  return {
    minRecall,
    recallMode,
    endStatus,
    chatTokens: conversation.chatTokens,
    maskFailed: conversation.maskFailed,
    secrets: conversation.secrets ?? 'mask',
    argumentsAs,
    shardRows: shardRows ?? null,
    ...toShownViews(options.views),
  };
}
