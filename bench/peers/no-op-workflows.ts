/** The least that a batch of durable samples can be: five activities that do nothing, one after the other, under a sliding window. */

import {
  condition,
  continueAsNew,
  ParentClosePolicy,
  proxyActivities,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';

const { nothing } = proxyActivities<{ nothing(): Promise<void> }>({ startToCloseTimeout: '1m' });

export async function noOpSample(): Promise<void> {
  for (let activity = 0; activity < 5; activity += 1) await nothing();
}

/** Starts the samples from `next` on, `window` at a time. */
export async function noOpBatch(samples: number, window: number, next = 0): Promise<void> {
  const { workflowId } = workflowInfo();
  let live = 0;
  for (; next < samples && !workflowInfo().continueAsNewSuggested; next += 1) {
    await condition(() => live < window);
    const child = await startChild(noOpSample, {
      workflowId: `${workflowId}/${next}`,
      parentClosePolicy: ParentClosePolicy.ABANDON,
    });
    live += 1;
    void child.result().finally(() => (live -= 1));
  }
  await condition(() => live === 0);
  if (next < samples) await continueAsNew<typeof noOpBatch>(samples, window, next);
}
