/** Signals and queries of the workflows, and what travels in them. */

import { defineQuery, defineSignal } from '@temporalio/workflow';
import type { FailedChoice } from '../domain/outcome.ts';
import type { SampleRef, Stage } from '../domain/sample.ts';

export interface BatchInput {
  batchId: string;
  repository: string;
  /** Samples under way at once. */
  window: number;
  /** Where the last run of this workflow left off. */
  carried?: BatchCarry;
}

/** What one run of the batch workflow hands to the next. */
export interface BatchCarry {
  /** Next place in the manifest. */
  next: number;
  live: string[];
  ended: number;
  paused: boolean;
  /** A cap was reached: no further sample is started. */
  exhausted: boolean;
  /** A cancellation under way. */
  stopping?: CancelMode;
  /** What the pass over the manifest takes again; everything where it is missing. */
  again?: FailedChoice;
}

export interface BatchProgress {
  next: number;
  live: string[];
  ended: number;
  paused: boolean;
  exhausted: boolean;
  draining: boolean;
}

export interface BatchEnd {
  ended: number;
  exhausted: boolean;
  cancelled: boolean;
}

/** Sent by a sample to its batch, whatever its end. */
export interface SampleReport {
  key: string;
  held?: string;
}

/** `drain` lets running samples end; `now` cancels them. */
export type CancelMode = 'drain' | 'now';

export type SampleInput = SampleRef & { repository: string };

export const sampleEndedSignal = defineSignal<[SampleReport]>('sampleEnded');
/** No new samples are started until `resume`. */
export const pauseSignal = defineSignal('pause');
/**
 * Goes on, from a cancellation under way too, and looks again at every sample without a content verdict, or of those that failed
 * only at the chosen ones.
 */
export const resumeSignal = defineSignal<[FailedChoice?]>('resume');
/** Samples under way at once. */
export const resizeSignal = defineSignal<[number]>('resize');
export const cancelSignal = defineSignal<[CancelMode]>('cancel');
export const progressQuery = defineQuery<BatchProgress>('progress');

export interface VerifyRun {
  batchId: string;
  /** Where the last run of this workflow left off. */
  carried?: VerifyProgress;
}

export interface VerifyProgress {
  /** Next place in the manifest. */
  next: number;
  planned: number;
  /** Samples verified anew, those that were so already, and those that can't be, with the first reasons. */
  verified: number;
  known: number;
  failed: number;
  reasons: string[];
}

export const verifyProgressQuery = defineQuery<VerifyProgress>('verifyProgress');

/** Where a sample is; also its search attribute `TwinpatchStage`. */
export type VisibleStage = Stage | 'ended';
