/** All activities, in the two groups that the task queues divide them into. */

import { createCheckout } from './checkout.ts';
import type { MainDeps, RolloutDeps } from './deps.ts';
import { createLedgerActivities } from './ledger.ts';
import { createRollout } from './rollout.ts';
import { createSelfCheck } from './self-check.ts';
import { createSynthesizePr } from './synthesize-pr.ts';
import { createLoadUnverified } from './unverified.ts';
import { createVerify } from './verify.ts';

/** Light work: the store and the teacher. */
export function createMainActivities(deps: MainDeps) {
  return {
    ...createLedgerActivities(deps),
    selfCheck: createSelfCheck(deps),
    synthesizePr: createSynthesizePr(deps),
    loadUnverified: createLoadUnverified(deps),
  };
}

/** Work beside the Docker engine. */
export function createRolloutActivities(deps: RolloutDeps) {
  return {
    checkout: createCheckout(deps),
    rollout: createRollout(deps),
    verify: createVerify(deps),
  };
}

export type MainActivities = ReturnType<typeof createMainActivities>;
export type RolloutActivities = ReturnType<typeof createRolloutActivities>;
