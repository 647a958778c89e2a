/** What became of every sample of a batch, with reasons; read from the store alone. */

import { renderVerdict } from '../domain/outcome.ts';
import type { CheckoutResult, Counts, Sample, SampleEnd } from '../domain/sample.ts';
import type { Outcome, Store } from '../domain/store.ts';

/** Where the CLI just shows: verified with at least this exact recall is called accepted. */
export const ACCEPTED_RECALL = 0.5;

export interface Yield extends Counts {
  /** Samples without any verdict yet. */
  unfinished: number;
  /** Samples by rendered verdict. */
  verdicts: Record<string, number>;
}

export function isAccepted({ verdict, recall }: Outcome): boolean {
  return verdict.kind === 'verified' && (recall?.exact ?? -1) >= ACCEPTED_RECALL;
}

/** Counts over the outcomes of a batch; they add up to `planned`. */
export function countYield(planned: number, outcomes: Iterable<Outcome>): Yield {
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
  for (const outcome of outcomes) {
    counts[outcome.verdict.kind] += 1;
    counts.unfinished -= 1;
    if (isAccepted(outcome)) counts.accepted += 1;
    const verdict = renderVerdict(outcome.verdict);
    counts.verdicts[verdict] = (counts.verdicts[verdict] ?? 0) + 1;
  }
  return counts;
}

export async function readYield(store: Store, batchId: string): Promise<Yield> {
  const [batch, planned, outcomes] = await Promise.all([
    store.batches.get(batchId),
    store.batches.planned(batchId),
    store.ends.outcomes(batchId),
  ]);
  // A plan that was cut short is not done when its samples are.
  return countYield(Math.max(planned, batch?.config.targets.samples ?? 0), outcomes);
}

/** What is wrong with the image of the first sample that ended; most batches have one image. */
export async function readWarnings(store: Store, batchId: string): Promise<string[]> {
  for await (const { key: sampleKey, results } of store.ends.stream(batchId)) {
    const { checkout: name } = results;
    if (name === undefined) return [];
    const checkout = await store.ledger.get<CheckoutResult>({ batchId, sampleKey, name });
    return checkout?.warnings ?? [];
  }
  return [];
}

const PAGE = 1000;

/** Every sample of a batch in the manifest's order, with its end where it has one. */
export async function* samplesWithEnds(
  store: Store,
  batchId: string,
): AsyncGenerator<{ sample: Sample; end: SampleEnd | undefined }> {
  const ends = store.ends.stream(batchId)[Symbol.asyncIterator]();
  let next = await ends.next();
  for (let from = 0; ; from += PAGE) {
    const page = await store.batches.samples(batchId, from, PAGE);
    for (const sample of page) {
      const end = next.done !== true && next.value.key === sample.key ? next.value : undefined;
      if (end !== undefined) next = await ends.next();
      yield { sample, end };
    }
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
  'self-check': 'the teacher did not approve of its own change, three times',
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
