/** A sample, from the line of the manifest that plans it to the verdict that ends it, and the result of each stage between. */

import type { RolloutStatus, Verdict } from './outcome.ts';
import type { SandboxRef } from './ports.ts';
import type { RecallFigures } from './recall.ts';
import type { Usage } from './trajectory.ts';

/** `sha256:<hex>`: content in the store. References travel; contents don't. */
export type Ref = `sha256:${string}`;

export interface TargetFunction {
  /** Path in the repository, with `/`. */
  file: string;
  /** Qualified: `Class.method`, `outer.inner`, Go `Type.Method`. */
  name: string;
  kind: 'function' | 'method';
  language: string;
  /** 1-based and inclusive; the line of the name's keyword. */
  startLine: number;
  endLine: number;
}

/** One line of the manifest: everything that determines what a sample is about. */
export interface Sample {
  key: string;
  index: number;
  /** The commit's hash, or `tree:<hex>` for a folder without git. */
  commit: string;
  snapshot: Ref;
  target: TargetFunction;
  /** Instruction ids, one per attempt at rollout 1. */
  instructions: [string, string, string];
  /** Demonstration id for the synthetic PR. */
  demonstration: string;
  seed: number;
}

/** What a workflow knows of a sample. */
export interface SampleRef {
  batchId: string;
  key: string;
  /** Grows by one with each `retry` of a sample that already has a content verdict. */
  generation: number;
  /** `parse_header in http/headers.py`, for people. */
  title: string;
}

/** What keeps a sample waiting, for people. */
export interface Waiting {
  /** What is wrong, and what to do about it. */
  reason: string;
  /** ISO 8601; left out where it is tried as soon as there is room. */
  nextTryAt?: string;
}

export const STAGES = [
  'checkout',
  'rollout-1',
  'self-check',
  'synthetic-pr',
  'rollout-2',
  'verify',
] as const;
export type Stage = (typeof STAGES)[number];

export interface Spent {
  usage: Usage;
  /** USD; null where a call had no known price. */
  costUsd: number | null;
}

/** `key` of a result is its name in the ledger. */
export interface CheckoutResult {
  key: string;
  imageId: string;
  imageKey: string;
  /** What is wrong with the image and hinders no rollout; left out where nothing is. */
  warnings?: string[];
}

export interface RolloutResult {
  key: string;
  rolloutId: string;
  status: RolloutStatus;
  steps: number;
  /** The patch, or null when nothing changed; `oversized` when a cap was passed. */
  patch: PatchSummary | null;
  oversized?: string;
  /** A `Trajectory`. */
  trajectory: Ref;
  /** The closed, compressed journal it was made from. */
  journal: Ref;
  sandbox: SandboxRef;
  model: string;
  simulated: boolean;
  spent: Spent;
  /** What earlier owners of this rollout paid for and lost. */
  wasted: Spent;
  wallMs: number;
}

export interface PatchSummary {
  ref: Ref;
  bytes: number;
  files: number;
  /** Lines that recall counts. */
  countedLines: number;
}

export interface SelfCheckResult {
  key: string;
  answer: 'yes' | 'no';
  spent: Spent;
}

export interface SyntheticPrResult {
  key: string;
  /** The sample of the batch that had this target patch first, when it is another one: no text is bought. */
  duplicateOf: string | null;
  /** Null when the teacher wrote no usable text in the tries it had. */
  text: Ref | null;
  /** 0: nothing of the target patch stands in the text; 1: all of it. */
  leak: number;
  tries: number;
  spent: Spent;
}

export interface VerifyResult {
  key: string;
  exact: RecallFigures;
  sera: RecallFigures;
  /** `VerificationFacts`; of an earlier version, a part of them. */
  facts: Ref;
  /** Rollout 2 ran in the very image of rollout 1. */
  sameImage: boolean;
}

/** The end of a sample, as status, stats and export read it. */
export interface SampleEnd {
  key: string;
  generation: number;
  verdict: Verdict;
  /** A sentence for people: why, where the verdict alone does not say. */
  detail?: string;
  recall?: { exact: number | null; sera: number | null };
  /** Attempt of rollout 1 that counts. */
  attempt?: number;
  /** Ledger keys of the results that made it. */
  results: Partial<Record<Stage, string>>;
  spent: Spent;
  wasted: Spent;
  endedAt: string;
}

export interface Counts {
  planned: number;
  verified: number;
  /** Verified with exact recall ≥ 0.5. */
  accepted: number;
  unverifiable: number;
  held: number;
  infrastructure: number;
}
