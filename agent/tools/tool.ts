/** What every tool gets when one of its calls is performed. */

import { z } from 'zod';
import type { Mark, Observation, Sandbox, ShellState } from '../../domain/ports.ts';
import type { RolloutPlan } from '../plan.ts';

export type EditMark = Extract<Mark, { mark: 'edit' }>;

/** An observation before the loop adds which tool call it answers. */
export type Outcome = Omit<Observation, 'toolCallId'>;

export interface ToolContext {
  plan: RolloutPlan;
  sandbox: Sandbox;
  signal: AbortSignal;
  /** Made from rollout, step and place in the turn: the same in every owner's life. */
  id: string;
  shell: ShellState;
  /** How often `submit` was called before. */
  submits: number;
  /** The edit of this very call, when a crash came after its Mark. */
  openEdit: EditMark | undefined;
  /** Edits of a file that are not undone, oldest first. */
  editsOf(path: string): readonly EditMark[];
  /** Journals the Mark of an edit; it counts once this returns. */
  recordEdit(mark: EditMark): Promise<void>;
}

/** A string that can be encoded: half a surrogate pair could be neither stored nor sent. */
export const text = () =>
  z.string().refine((value) => !/\p{Surrogate}/u.test(value), 'contains half a character');
