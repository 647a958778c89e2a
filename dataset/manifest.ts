/** `manifest.json` beside exported rows: what they are made of, and what became of every planned sample and of every rollout. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { renderVerdict, type Verdict } from '../domain/outcome.ts';
import { FORMAT_NAMES } from './formats/names.ts';

const count = z.number().int().min(0);
const counts = z.record(z.string(), count);
const rowCounts = z.strictObject({
  rows: count,
  /** Of these rows. */
  replies: count,
  /** Replies that are trained on. */
  trained: count,
  /** Finished samples that gave no row, by reason; with `rows` they add up to the finished samples. */
  lost: counts,
});

/** Rows that a view got, and those it left. */
const viewCount = z.strictObject({
  in: count,
  out: count,
  /** Of a condition: rows that meet all the others. */
  only: count.optional(),
});
const viewCounts = z.strictObject({ view: z.string(), t1: viewCount, t2: viewCount });

/** Rows of the two have no function, file or near-duplicate in common. */
const split = z.enum(['train', 'held-out']);

const usd = z.number().min(0).nullable();

export const batchSchema = z.strictObject({
  id: z.string(),
  repository: z.string(),
  commits: z.array(z.string()),
  /** Of the repository at these commits, as `licence` in docs/datasets.md. */
  licences: z.array(z.string()),
  seed: z.int(),
  teachers: z.array(
    z.strictObject({
      model: z.string(),
      temperature: z.number(),
      topP: z.number(),
      maxTokens: count.nullable(),
      /** USD per million tokens, as the configuration had them; null: unpriced. */
      price: z.strictObject({ input: usd, cachedInput: usd, output: usd }).nullable(),
    }),
  ),
  profile: z.string(),
  versions: z.record(z.string(), z.string()),
  /** All that was paid for the batch, lost and rejected work included. */
  spent: z.strictObject({
    calls: count,
    inputTokens: count,
    cachedInputTokens: count,
    outputTokens: count,
    costUsd: usd,
  }),
});

export const manifestSchema = z.strictObject({
  formatVersion: z.literal(2),
  format: z.enum(FORMAT_NAMES),
  fileType: z.enum(['jsonl', 'parquet']),
  /** True where the scripted teacher wrote the rows: never training data. */
  simulated: z.boolean(),
  /** What the plans were of. */
  batches: z.array(batchSchema),
  /** What was asked for. */
  options: z.record(z.string(), z.json()),
  /** `planned` is the sum of all others. */
  samples: z.strictObject({
    planned: count,
    verified: count,
    unverifiable: counts,
    held: counts,
    infrastructure: counts,
    unfinished: count,
  }),
  t1: rowCounts,
  t2: rowCounts,
  /** In the order in which they were applied. */
  views: z.array(viewCounts),
  files: z.array(
    z.strictObject({
      name: z.string(),
      kind: z.enum(['t1', 't2']),
      split,
      rows: count,
      bytes: count,
      sha256: z.string(),
    }),
  ),
});

export type DatasetManifest = z.infer<typeof manifestSchema>;
export type BatchSummary = z.infer<typeof batchSchema>;
export type RowCounts = z.infer<typeof rowCounts>;
export type ViewCounts = z.infer<typeof viewCounts>;
export type Split = z.infer<typeof split>;

export const MANIFEST_NAME = 'manifest.json';

/** The manifest of an export folder, or why it is none. */
export async function readManifest(
  directory: string,
): Promise<DatasetManifest | { problem: string }> {
  try {
    const value: unknown = JSON.parse(await readFile(join(directory, MANIFEST_NAME), 'utf8'));
    return manifestSchema.parse(value);
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    return { problem: `cannot be read, so this is no export: ${reason}` };
  }
}

/** Counts of samples before the first of `planned` has been seen. */
export function emptySampleCounts(planned: number): DatasetManifest['samples'] {
  return {
    planned,
    verified: 0,
    unverifiable: {},
    held: {},
    infrastructure: {},
    unfinished: planned,
  };
}

/** Books one finished sample. */
export function countVerdict(samples: DatasetManifest['samples'], verdict: Verdict): void {
  samples.unfinished -= 1;
  if (verdict.kind === 'verified') samples.verified += 1;
  else addOne(samples[verdict.kind], renderVerdict(verdict).slice(verdict.kind.length + 1));
}

export function addOne(reasons: Record<string, number>, reason: string): void {
  reasons[reason] = (reasons[reason] ?? 0) + 1;
}

export function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, value) => total + value, 0);
}
