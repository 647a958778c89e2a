/** What became of every sample of a batch, with reasons; read from the store alone. */

import { renderVerdict } from '../domain/outcome.ts';
import type { CheckoutResult, Counts, Sample, SampleEnd } from '../domain/sample.ts';
import type { Store } from '../domain/store.ts';

/** Where the CLI just shows: verified with at least this exact recall is called accepted. */
export const ACCEPTED_RECALL = 0.5;

export interface Yield extends Counts {
  /** Samples without any verdict yet. */
  unfinished: number;
  /** Samples by rendered verdict. */
  verdicts: Record<string, number>;
}

export function isAccepted({ verdict, recall }: SampleEnd): boolean {
  return verdict.kind === 'verified' && (recall?.exact ?? -1) >= ACCEPTED_RECALL;
}

/** Counts over the ends of a batch; they add up to `planned`. */
export function countYield(planned: number, ends: Iterable<SampleEnd>): Yield {
  const counts: Yield = {
    planned,
    verified: 0,
    accepted: 0,
    unverifiable: 0,
    held: 0,
    infrastructure: 0,
    unfinished: planned,
    verdicts: {},
  };
  for (const end of ends) {
    counts[end.verdict.kind] += 1;
    counts.unfinished -= 1;
    if (isAccepted(end)) counts.accepted += 1;
    const verdict = renderVerdict(end.verdict);
    counts.verdicts[verdict] = (counts.verdicts[verdict] ?? 0) + 1;
  }
  return counts;
}

export async function readYield(store: Store, batchId: string): Promise<Yield> {
  const [planned, ends] = await Promise.all([
    store.batches.planned(batchId),
    store.ends.read(batchId),
  ]);
  return countYield(planned, ends.values());
}

/** What is wrong with the image of the first sample that ended; most batches have one image. */
export async function readWarnings(store: Store, batchId: string): Promise<string[]> {
  const [end] = (await store.ends.read(batchId)).values();
  const name = end?.results.checkout;
  if (end === undefined || name === undefined) return [];
  const checkout = await store.ledger.get<CheckoutResult>({ batchId, sampleKey: end.key, name });
  return checkout?.warnings ?? [];
}

const PAGE = 1000;

/** Every sample of a batch in the manifest's order, with its end where it has one. */
export async function* samplesWithEnds(
  store: Store,
  batchId: string,
): AsyncGenerator<{ sample: Sample; end: SampleEnd | undefined }> {
  const ends = await store.ends.read(batchId);
  for (let from = 0; ; from += PAGE) {
    const page = await store.batches.samples(batchId, from, PAGE);
    for (const sample of page) yield { sample, end: ends.get(sample.key) };
    if (page.length < PAGE) return;
  }
}

/** A sentence for each sample: why it ended as it did. */
export function explain(end: SampleEnd | undefined): string {
  if (end === undefined) return 'not finished';
  const { verdict, recall, detail } = end;
  switch (verdict.kind) {
    case 'verified':
      return `recall ${recall?.exact?.toFixed(2) ?? 'undefined'} (sera ${recall?.sera?.toFixed(2) ?? 'undefined'})`;
    case 'unverifiable':
      return detail ?? REASONS[verdict.reason];
    case 'held':
    case 'infrastructure':
      return detail ?? verdict.class;
  }
}

// --- internal ---

const REASONS = {
  'self-check': 'the teacher judged its own change as wrong, three times',
  duplicate: 'another sample has the same target patch',
  'empty-patch': 'rollout 1 submitted without a change',
  'uncountable-patch': 'the target patch has no line to compare',
  'oversized-patch': 'the target patch is too large',
  'no-pr': 'the teacher wrote no usable pull-request text',
  'step-limit': 'rollout 1 ran into its step limit',
  'context-limit': 'rollout 1 outgrew the context of the teacher',
  'format-errors': 'too many malformed replies in a row in rollout 1',
  'disk-limit': 'rollout 1 wrote more to its disk than it may',
  'command-timeouts': 'too many commands in a row timed out in rollout 1',
  'tool-time-limit': 'the commands of rollout 1 took too long in all',
  'token-limit': 'rollout 1 ran into its token limit',
  'time-limit': 'rollout 1 ran into its time limit',
  'cost-limit': 'rollout 1 ran into its cost limit',
} as const;
