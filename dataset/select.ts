/** Which rollouts of a finished sample become rows. */

import type { RolloutStatus, Verdict } from '../domain/outcome.ts';
import type { RecallMode } from '../domain/recall.ts';
import type { Trajectory } from '../domain/trajectory.ts';
import type { Json } from './row.ts';

/** One rollout of a finished sample; its trajectory is read only where a row is made of it. */
export interface RolloutSide {
  rolloutId: string;
  status: RolloutStatus;
  simulated: boolean;
  trajectory(): Promise<Trajectory>;
  provenance: Record<string, Json>;
}

/** A sample that has a verdict, as the export is fed. */
export interface FinishedSample {
  sampleKey: string;
  verdict: Verdict;
  recall?: { exact: number | null; sera: number | null };
  selfCheck?: 'yes' | 'no';
  /** The attempt at rollout 1 that counts. */
  t1?: RolloutSide;
  t2?: RolloutSide;
  provenance: Record<string, Json>;
}

export interface SelectOptions {
  /** T2 needs at least this recall, from 0 to 1. */
  minRecall: number;
  recallMode: RecallMode;
}

/** Why a finished sample gives no row of a rollout. */
export type SelectionLoss =
  /** Held or failed: the sample may still go on. */
  | 'not-final'
  | 'not-verified'
  | 'duplicate'
  | 'no-rollout'
  | 'not-submitted'
  /** Rollout 1 submitted no patch that could be checked. */
  | 'unusable-patch'
  | 'self-check'
  | 'no-recall'
  | 'below-min-recall';

export type Selection = { side: RolloutSide } | { lost: SelectionLoss };

/** T1 is exported when the teacher's self-check said yes, whatever came of rollout 2. */
export function selectT1(sample: FinishedSample): Selection {
  const { verdict, t1 } = sample;
  if (verdict.kind === 'held' || verdict.kind === 'infrastructure') return { lost: 'not-final' };
  if (verdict.kind === 'unverifiable' && verdict.reason === 'duplicate')
    return { lost: 'duplicate' };
  if (!t1) return { lost: 'no-rollout' };
  if (t1.status !== 'submitted') return { lost: 'not-submitted' };
  if (sample.selfCheck === undefined) return { lost: 'unusable-patch' };
  return sample.selfCheck === 'yes' ? { side: t1 } : { lost: 'self-check' };
}

/** T2 is exported when the sample is verified and its recall is high enough. */
export function selectT2(sample: FinishedSample, options: SelectOptions): Selection {
  const { verdict, t2 } = sample;
  if (verdict.kind === 'held' || verdict.kind === 'infrastructure') return { lost: 'not-final' };
  if (verdict.kind !== 'verified') return { lost: 'not-verified' };
  if (!t2) return { lost: 'no-rollout' };
  if (t2.status !== 'submitted') return { lost: 'not-submitted' };
  const recall = sample.recall?.[options.recallMode] ?? null;
  if (recall === null) return { lost: 'no-recall' };
  return recall >= options.minRecall ? { side: t2 } : { lost: 'below-min-recall' };
}
