/** `manifest.json` beside exported rows: what became of every planned sample and of every rollout. */

import { z } from 'zod';
import { renderVerdict, type Verdict } from '../domain/outcome.ts';

const count = z.number().int().min(0);
const counts = z.record(z.string(), count);
const rowCounts = z.strictObject({
  rows: count,
  /** Finished samples that gave no row, by reason; with `rows` they add up to the finished samples. */
  lost: counts,
});

export const manifestSchema = z.strictObject({
  formatVersion: z.literal(1),
  format: z.literal('hermes'),
  /** True where the scripted teacher wrote the rows: never training data. */
  simulated: z.boolean(),
  /** What the plan was of. */
  batch: z.strictObject({
    id: z.string(),
    repository: z.string(),
    commits: z.array(z.string()),
    seed: z.int(),
    model: z.string(),
  }),
  options: z.strictObject({
    minRecall: z.number().min(0).max(1),
    recallMode: z.enum(['exact', 'sera']),
  }),
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
  files: z.array(
    z.strictObject({ name: z.string(), rows: count, bytes: count, sha256: z.string() }),
  ),
});

export type DatasetManifest = z.infer<typeof manifestSchema>;
export type RowCounts = z.infer<typeof rowCounts>;

export const MANIFEST_NAME = 'manifest.json';

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
