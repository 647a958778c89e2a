/** Streams finished samples into the files of an export. */

import { createHash } from 'node:crypto';
import { open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatasetError, replaceFolder } from './folder.ts';
import {
  addOne,
  countVerdict,
  emptySampleCounts,
  MANIFEST_NAME,
  type DatasetManifest,
  type RowCounts,
} from './manifest.ts';
import { renderRow, type RenderLoss } from './render.ts';
import { renderLine } from './row.ts';
import {
  selectT1,
  selectT2,
  type FinishedSample,
  type Selection,
  type SelectionLoss,
  type SelectOptions,
} from './select.ts';

export interface WriteOptions extends SelectOptions {
  /** Made or replaced; it may hold nothing but an earlier export. */
  directory: string;
  /** What the files say where they hold no row that tells. */
  simulated: boolean;
  /** What the plan was of, for the manifest. */
  batch: DatasetManifest['batch'];
  /** Samples in the plan; those that `samples` does not bring are counted as unfinished. */
  planned: number;
}

/**
 * Writes `t1.jsonl`, `t2.jsonl` (`….SIMULATED.jsonl` where the scripted teacher made them) and `manifest.json`, and returns
 * the manifest. One trajectory is in memory at a time; equal input gives equal bytes. Throws DatasetError.
 */
export async function writeDataset(
  samples: AsyncIterable<FinishedSample>,
  options: WriteOptions,
): Promise<DatasetManifest> {
  return replaceFolder(options.directory, EXPORT_FILE, async (folder) => {
    const manifest = await writeRows(samples, folder, options);
    const text = `${JSON.stringify(manifest, null, 2)}\n`;
    await writeFile(join(folder, MANIFEST_NAME), text, { flag: 'wx', flush: true });
    return manifest;
  });
}

// --- internal ---

const EXPORT_FILE = /^(?:t[12](?:\.SIMULATED)?\.jsonl|manifest\.json)$/;
const BUFFER_BYTES = 1 << 20;

async function writeRows(
  samples: AsyncIterable<FinishedSample>,
  folder: string,
  { minRecall, recallMode, planned, batch, simulated: isPlannedSo }: WriteOptions,
): Promise<DatasetManifest> {
  const counts = emptySampleCounts(planned);
  const t1: RowCounts = { rows: 0, lost: {} };
  const t2: RowCounts = { rows: 0, lost: {} };
  const origin: Origin = { simulated: undefined, rollout: '' };
  const file1 = await openRowFile(join(folder, 't1.jsonl'));
  const file2 = await openRowFile(join(folder, 't2.jsonl'));
  try {
    for await (const sample of samples) {
      countVerdict(counts, sample.verdict);
      if (counts.unfinished < 0) throw tooManySamples(planned, sample.sampleKey);
      await writeRollout(sample, selectT1(sample), file1, t1, origin);
      await writeRollout(sample, selectT2(sample, { minRecall, recallMode }), file2, t2, origin);
    }
    const simulated = origin.simulated ?? isPlannedSo;
    const files = [
      { name: fileName('t1', simulated), rows: t1.rows, ...(await file1.finish()) },
      { name: fileName('t2', simulated), rows: t2.rows, ...(await file2.finish()) },
    ];
    if (simulated) {
      await rename(join(folder, 't1.jsonl'), join(folder, fileName('t1', true)));
      await rename(join(folder, 't2.jsonl'), join(folder, fileName('t2', true)));
    }
    const options = { minRecall, recallMode };
    return {
      formatVersion: 1,
      format: 'hermes',
      simulated,
      batch,
      options,
      samples: counts,
      t1,
      t2,
      files,
    };
  } finally {
    await Promise.all([file1.close(), file2.close()]);
  }
}

function fileName(rollout: 't1' | 't2', simulated: boolean): string {
  return `${rollout}${simulated ? '.SIMULATED' : ''}.jsonl`;
}

/** Who wrote the rows so far, and the first of them. */
interface Origin {
  simulated: boolean | undefined;
  rollout: string;
}

async function writeRollout(
  sample: FinishedSample,
  selection: Selection,
  file: RowFile,
  counts: RowCounts,
  origin: Origin,
): Promise<void> {
  const lose = (reason: SelectionLoss | RenderLoss) => addOne(counts.lost, reason);
  if ('lost' in selection) return lose(selection.lost);
  const { side } = selection;
  const trajectory = await side.trajectory().catch((cause: unknown) => {
    throw new DatasetError(
      `the trajectory of ${side.rolloutId} cannot be read: ${String(cause)}; look at the store with \`twinpatch doctor\``,
      { cause },
    );
  });
  const rendered = renderRow(sample, side, trajectory);
  if ('lost' in rendered) return lose(rendered.lost);
  if (origin.simulated === undefined) {
    origin.simulated = side.simulated;
    origin.rollout = side.rolloutId;
  } else if (origin.simulated !== side.simulated) {
    const [scripted, real] = side.simulated
      ? [side.rolloutId, origin.rollout]
      : [origin.rollout, side.rolloutId];
    throw new DatasetError(
      `${scripted} was written by the scripted teacher and ${real} by a real one: export their batches apart`,
    );
  }
  await file.append(`${renderLine(rendered.row)}\n`);
  counts.rows += 1;
}

function tooManySamples(planned: number, sampleKey: string): DatasetError {
  return new DatasetError(
    `${planned} samples are planned, and ${sampleKey} is one more: is a batch named twice?`,
  );
}

interface RowFile {
  append(line: string): Promise<void>;
  /** On the disk; what was written. */
  finish(): Promise<{ bytes: number; sha256: string }>;
  close(): Promise<void>;
}

async function openRowFile(path: string): Promise<RowFile> {
  const handle = await open(path, 'wx');
  const hash = createHash('sha256');
  let buffered: Buffer[] = [];
  let bufferedBytes = 0;
  let bytes = 0;
  const flush = async () => {
    const chunk = Buffer.concat(buffered);
    buffered = [];
    bufferedBytes = 0;
    hash.update(chunk);
    bytes += chunk.length;
    await handle.writeFile(chunk);
  };
  return {
    async append(line) {
      const chunk = Buffer.from(line);
      buffered.push(chunk);
      bufferedBytes += chunk.length;
      if (bufferedBytes >= BUFFER_BYTES) await flush();
    },
    async finish() {
      await flush();
      await handle.sync();
      return { bytes, sha256: hash.digest('hex') };
    },
    close: () => handle.close(),
  };
}
