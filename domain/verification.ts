/** What verification records of a sample beside its recall: facts, usable as filters at export; none decides anything by itself. */

import type { BatchConfig } from './config.ts';
import type { Hash } from './ids.ts';
import type { Leak } from './leak.ts';
import type { PatchFacts } from './patch-facts.ts';
import type { FileRecall } from './recall.ts';
import type { RecallVariants } from './recall-variants.ts';
import type { VerifyResult } from './sample.ts';
import { stageName } from './stage-key.ts';

/** Part of a verification's key: it changes when what is recorded does. */
const FACTS_VERSION = 3;

export interface VerificationFacts {
  target: PatchFacts;
  produced: PatchFacts;
  /** Recall of every file that either patch changes. */
  files: FileRecall[];
  variants: RecallVariants;
  /** Of the produced patch. */
  judgement: PatchJudgement;
  behaviour: BehaviourFacts;
  /** Of the pull request that rollout 2 worked from; null where it was not told. */
  leak: Leak | null;
}

/** A verification as readers get it: with facts of an earlier version, a part of them. */
export type SampleVerification = Pick<VerifyResult, 'exact' | 'sera' | 'sameImage'> &
  Partial<VerificationFacts>;

/** Does a patch fit the snapshot, and what the files it makes? */
export interface PatchJudgement {
  /** Every line stands where the patch says, in the tree without what the set-up changed. */
  applies: boolean;
  /** No file that could be read before can't be read any more; null where no file of a known language was looked at. */
  parses: boolean | null;
  /** The files that can't, the first ones. */
  unparsable: string[];
}

/** How the two rollouts went about it. */
export interface BehaviourFacts {
  rollout1: BehaviourCounts;
  rollout2: BehaviourCounts;
  /** Shares from 0 to 1 of what either did that both did; null where neither did any of it. */
  shared: { filesRead: number | null; filesEdited: number | null; actions: number | null };
}

export interface BehaviourCounts {
  /** Turns with a call that was performed. */
  steps: number;
  /** Calls whose mistake was the model's own. */
  failed: number;
  filesRead: number;
  filesEdited: number;
}

/**
 * Ledger name of the verification of two rollouts, by the ledger names of these. Which verification counts follows from the
 * batch's settings; what decides about texts that are bought is no part of it.
 */
export function verifyName(
  { rollout1, rollout2 }: { rollout1: string; rollout2: string },
  { maxLeak: _bought, ...settings }: BatchConfig['verification'],
  hash: Hash,
): string {
  return stageName('verify', { rollout1, rollout2, facts: FACTS_VERSION, ...settings }, hash);
}
