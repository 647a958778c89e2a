/** Which samples have ended as the server knows it, whether or not they could say so. */

import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import pLimit from 'p-limit';
import { sampleWorkflowId } from '../domain/ids.ts';

const ASKED_AT_ONCE = 8;

/** Those of these samples whose workflow has closed, or was never there. */
export async function closedSamples(
  client: Client,
  batchId: string,
  keys: string[],
): Promise<string[]> {
  const limit = pLimit(ASKED_AT_ONCE);
  const closed = await Promise.all(
    keys.map((key) =>
      limit(async () => {
        try {
          const { status } = await client.workflow
            .getHandle(sampleWorkflowId(batchId, key))
            .describe();
          return status.name !== 'RUNNING';
        } catch (error) {
          if (error instanceof WorkflowNotFoundError) return true;
          throw error;
        }
      }),
    ),
  );
  return keys.filter((_, index) => closed[index]);
}
