/** What one rollout is asked to do, and within which limits. */

import type { BatchConfig } from '../domain/config.ts';
import type { Template } from '../domain/prompts.ts';

/** The limits of `rollout` in twinpatch.yaml that the loop keeps; of `maxCostUsd` a call without a known price takes nothing. */
export type RolloutLimits = Pick<
  BatchConfig['rollout'],
  | 'maxSteps'
  | 'commandTimeoutMs'
  | 'maxConsecutiveTimeouts'
  | 'maxToolTimeMs'
  | 'maxWallTimeMs'
  | 'maxTokens'
  | 'maxCostUsd'
  | 'maxFormatErrors'
  | 'maxObservationChars'
>;

export interface RolloutPlan {
  /** Scope of every call and first part of every request id. */
  rolloutId: string;
  systemPrompt: string;
  /** The first user message. */
  taskPrompt: string;
  /** Answers the first `submit`; uses `{{ diff }}`. */
  review: Template;
  limits: RolloutLimits;
  /** Tool calls accepted in one turn. */
  callsPerTurn: BatchConfig['rollout']['callsPerTurn'];
}
