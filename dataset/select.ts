/** Which rollouts of a finished sample may become rows. */

import type { Licence } from '../domain/licence.ts';
import type { FunctionRange } from '../domain/patch-facts.ts';
import type { RolloutStatus, Verdict } from '../domain/outcome.ts';
import type { RecallMode } from '../domain/recall.ts';
import type { Trajectory } from '../domain/trajectory.ts';
import type { SampleVerification } from '../domain/verification.ts';
import type { Json } from './text.ts';

/** T1 is rollout 1, from the vague instruction; T2 is rollout 2, from the pull request. */
export const KINDS = ['t1', 't2'] as const;
export type Kind = (typeof KINDS)[number];

/** One rollout of a finished sample; its trajectory and its patch are read only where a row may be made of it. */
export interface RolloutSide {
  rolloutId: string;
  status: RolloutStatus;
  simulated: boolean;
  trajectory(): Promise<Trajectory>;
  /** Empty where nothing was changed. */
  patch(): Promise<string>;
  provenance: Record<string, Json>;
}

/** A sample that has a verdict, as the export is fed. */
export interface FinishedSample {
  sampleKey: string;
  /** What it is about; the same repository has the same name in every batch. */
  target: FunctionRange & { repository: string; name: string };
  verdict: Verdict;
  recall?: { exact: number | null; sera: number | null };
  /** Of the pull request, from 0 to 1. */
  leak?: number;
  selfCheck?: 'yes' | 'no';
  /** The attempt at rollout 1 that counts. */
  t1?: RolloutSide;
  t2?: RolloutSide;
  /** Of the repository, at the sample's commit. */
  licence?(): Promise<Licence>;
  /** What verification found of its patches and rollouts; undefined of a sample that is not verified. */
  verification?(): Promise<SampleVerification | undefined>;
  provenance: Record<string, Json>;
}

export interface SelectOptions {
  /** T2 needs at least this recall, from 0 to 1. */
  minRecall: number;
  recallMode: RecallMode;
  /** How a rollout must have ended. */
  endStatus: RolloutStatus[];
}

/** Why a finished sample gives no row of a rollout. */
export type SelectionLoss =
  /** Held or failed: the sample may still go on. */
  | 'not-final'
  | 'not-verified'
  | 'duplicate'
  | 'no-rollout'
  /** The rollout ended in another way than asked for. */
  | 'not-submitted'
  /** Rollout 1 submitted no patch that could be checked. */
  | 'unusable-patch'
  | 'self-check'
  | 'no-recall'
  | 'below-min-recall';

export type Selection = { side: RolloutSide } | { lost: SelectionLoss };

/** T1 is exported when the teacher's self-check said yes, whatever came of rollout 2; T2 when its recall is high enough. */
export function select(kind: Kind, sample: FinishedSample, options: SelectOptions): Selection {
  return kind === 't1' ? selectT1(sample, options) : selectT2(sample, options);
}

// --- internal ---

function selectT1(sample: FinishedSample, { endStatus }: SelectOptions): Selection {
  const { verdict, t1 } = sample;
  if (verdict.kind === 'held' || verdict.kind === 'infrastructure') return { lost: 'not-final' };
  if (verdict.kind === 'unverifiable' && verdict.reason === 'duplicate')
    return { lost: 'duplicate' };
  if (!t1) return { lost: 'no-rollout' };
  if (!endStatus.includes(t1.status)) return { lost: 'not-submitted' };
  if (sample.selfCheck === undefined) return { lost: 'unusable-patch' };
  return sample.selfCheck === 'yes' ? { side: t1 } : { lost: 'self-check' };
}

function selectT2(
  sample: FinishedSample,
  { endStatus, minRecall, recallMode }: SelectOptions,
): Selection {
  const { verdict, t2 } = sample;
  if (verdict.kind === 'held' || verdict.kind === 'infrastructure') return { lost: 'not-final' };
  if (verdict.kind !== 'verified') return { lost: 'not-verified' };
  if (!t2) return { lost: 'no-rollout' };
  if (!endStatus.includes(t2.status)) return { lost: 'not-submitted' };
  const recall = sample.recall?.[recallMode] ?? null;
  if (recall === null) return { lost: 'no-recall' };
  return recall >= minRecall ? { side: t2 } : { lost: 'below-min-recall' };
}
