/** Verifies a finished batch anew: only what its settings ask for and the store has not. Nothing is bought. */

import {
  ActivityFailure,
  continueAsNew,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { MainActivities, RolloutActivities } from '../activities/create-activities.ts';
import { ROLLOUT_QUEUE } from '../domain/ids.ts';
import { type VerifyProgress, verifyProgressQuery, type VerifyRun } from './messages.ts';

/** Samples asked for at once; how many are under way is the workers' to say. */
const PAGE = 32;
/** Reasons that are kept. */
const MAX_REASONS = 10;

const retry = { initialInterval: '1s', maximumInterval: '30s' } as const;
const { loadUnverified } = proxyActivities<MainActivities>({
  startToCloseTimeout: '5m',
  heartbeatTimeout: '20s',
  retry,
});
const { verify } = proxyActivities<RolloutActivities>({
  taskQueue: ROLLOUT_QUEUE,
  startToCloseTimeout: '30m',
  heartbeatTimeout: '1m',
  retry,
});

/** Returns what became of the samples; one that can't be verified is counted, and keeps no other from it. */
export async function verifyWorkflow({ batchId, carried }: VerifyRun): Promise<VerifyProgress> {
  const progress: VerifyProgress = carried ?? {
    next: 0,
    planned: 0,
    verified: 0,
    known: 0,
    failed: 0,
    reasons: [],
  };
  setHandler(verifyProgressQuery, () => progress);
  for (;;) {
    const page = await loadUnverified({ batchId, from: progress.next, count: PAGE });
    await Promise.all(
      page.samples.map(async (sample) => {
        try {
          await verify(sample);
          progress.verified += 1;
        } catch (error) {
          if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
          progress.failed += 1;
          if (progress.reasons.length < MAX_REASONS) {
            progress.reasons.push(`${sample.sampleKey}: ${error.cause?.message ?? error.message}`);
          }
        }
      }),
    );
    Object.assign(progress, {
      next: page.next,
      planned: page.planned,
      known: progress.known + page.known,
    });
    setCurrentDetails(
      `**${progress.next} of ${progress.planned} looked at** · ${progress.verified} verified anew`,
    );
    if (page.next >= page.planned) return progress;
    if (workflowInfo().continueAsNewSuggested) {
      return continueAsNew<typeof verifyWorkflow>({ batchId, carried: progress });
    }
  }
}
