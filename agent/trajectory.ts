/** The finished conversation of a rollout, read from its journal. */

import type { JournalEntry } from '../domain/ports.ts';
import type { Trajectory } from '../domain/trajectory.ts';
import { foldEntry, startState } from './next-action.ts';
import type { RolloutPlan } from './plan.ts';
import { TOOLS } from './tools/profile.ts';

/** The turns as the teacher was sent them and answered; refused ones are marked. Throws Error for a journal in disorder. */
export function toTrajectory(plan: RolloutPlan, entries: readonly JournalEntry[]): Trajectory {
  const state = startState(plan);
  for (const entry of entries) foldEntry(plan, state, entry);
  return { rolloutId: plan.rolloutId, turns: state.turns, tools: TOOLS };
}
