/** The shape that all stages share: heartbeats, the batch and sample they are about, the result from the ledger if it is there. */

import { ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity';
import { failure, toFailure } from './failures.ts';
import type { Sample, Waiting } from '../domain/sample.ts';
import { sampleIndex } from '../domain/ids.ts';
import type { BatchRecord, Store } from '../domain/store.ts';

const BEAT_MS = 5_000;
/** A worker that drains hands its work back; the next owner takes it at once. */
const HAND_OVER_MS = 100;

export interface StageInput {
  batchId: string;
  sampleKey: string;
  generation: number;
}

/** Ends what names the work of a sample: a retried one's is other than its earlier work. */
export function generationSuffix({ generation }: Pick<StageInput, 'generation'>): string {
  return generation === 1 ? '' : `.g${generation}`;
}

/** Scope of the calls that a stage makes outside of rollouts; `name` begins as its result's does. */
export function callScope(input: StageInput, name: string): string {
  return `${input.batchId}/${input.sampleKey}/${name}${generationSuffix(input)}`;
}

/** What a heartbeat carries: a pointer that people can read, never content. */
export interface Beat {
  step?: number;
  phase: string;
  tokens?: number;
  costUsd?: number | null;
  sandbox?: string;
  /** What the sandbox took when it was last looked at. */
  memoryMiB?: number;
  tasks?: number;
  /** What the teacher is waited for, when it is. */
  waiting?: Waiting | undefined;
}

export interface StageContext {
  signal: AbortSignal;
  report(beat: Beat): void;
  /** Whether another attempt follows when the work ends with this error. */
  isTriedAgain(error: unknown): boolean;
}

/** Runs a stage's work with heartbeats from before its first slow call, and ends it with a typed failure. */
export async function runStage<T>(
  phase: string,
  work: (context: StageContext) => Promise<T>,
  waiting: () => Waiting | undefined = () => undefined,
): Promise<T> {
  const activity = Context.current();
  let beat: Beat = { phase };
  activity.heartbeat(beat);
  // Always the latest details: a heartbeat without them would erase them.
  const beating = setInterval(() => activity.heartbeat({ ...beat, waiting: waiting() }), BEAT_MS);
  const report = (next: Beat) => {
    beat = next;
  };
  const signal = activity.cancellationSignal;
  const toEnd = (error: unknown) =>
    signal.aborted
      ? toCancellation(activity, signal.reason)
      : toFailure(error, activity.info.attempt);
  const isTriedAgain = (error: unknown) => {
    const end = toEnd(error);
    if (end instanceof ApplicationFailure) return end.nonRetryable !== true;
    // Not asked for: the server has given this attempt up for another one.
    return activity.cancellationDetails?.cancelRequested !== true;
  };
  try {
    return withinLimit(await work({ signal, report, isTriedAgain }));
  } catch (error) {
    throw toEnd(error);
  } finally {
    clearInterval(beating);
  }
}

/** The batch and the sample a stage is about. Throws ForeignStore, InvalidSample. */
export async function readSample(
  store: Store,
  { batchId, sampleKey }: Pick<StageInput, 'batchId' | 'sampleKey'>,
): Promise<{ batch: BatchRecord; sample: Sample }> {
  const batch = await readBatch(store, batchId);
  const [sample] = await store.batches.samples(batchId, sampleIndex(sampleKey), 1);
  if (sample?.key !== sampleKey) {
    throw failure(
      'InvalidSample',
      `sample ${sampleKey} is not in the manifest of batch ${batchId}`,
    );
  }
  return { batch, sample };
}

export async function readBatch(store: Store, batchId: string): Promise<BatchRecord> {
  const batch = await store.batches.get(batchId);
  if (batch === undefined || batch.storeId !== store.id) {
    throw failure(
      'ForeignStore',
      `batch ${batchId} is not in the store of this worker (${store.location}); start a worker for its store`,
    );
  }
  return batch;
}

/** A result that an earlier stage has put into the ledger. Throws InvalidSample when it is gone. */
export async function readResult<T>(
  store: Store,
  { batchId, sampleKey }: Pick<StageInput, 'batchId' | 'sampleKey'>,
  name: string,
): Promise<T> {
  const result = await store.ledger.get<T>({ batchId, sampleKey, name });
  if (result === undefined) {
    throw failure('InvalidSample', `result ${name} of sample ${sampleKey} is not in the store`);
  }
  return result;
}

// --- internal ---

/** The server takes 2 MiB; the SDK would try a larger result again for ever. */
const MAX_RESULT_BYTES = 1024 * 1024;

function withinLimit<T>(result: T): T {
  const bytes = Buffer.byteLength(JSON.stringify(result ?? null));
  if (bytes > MAX_RESULT_BYTES) {
    throw failure(
      'PayloadTooLarge',
      `the stage's result has ${bytes} bytes, more than the ${MAX_RESULT_BYTES} that may travel`,
    );
  }
  return result;
}

function toCancellation(activity: Context, reason: unknown): Error {
  if (activity.cancellationDetails?.workerShutdown === true) {
    return ApplicationFailure.create({
      type: 'Draining',
      message: 'the worker is shutting down; the next one goes on',
      nextRetryDelay: HAND_OVER_MS,
      category: 'BENIGN',
    });
  }
  return reason instanceof CancelledFailure ? reason : new CancelledFailure('cancelled');
}
