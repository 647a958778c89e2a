/** The training example of a rollout, whole and as it is written. */

import type { Trajectory } from '../domain/trajectory.ts';
import type { SampleVerification } from '../domain/verification.ts';
import { toConversation, type ConversationLoss, type ConversationOptions } from './conversation.ts';
import { DatasetError } from './folder.ts';
import { measure } from './lengths.ts';
import { toOrigin, type Example } from './row.ts';
import { guardTrajectory } from './secrets.ts';
import type { FinishedSample, RolloutSide } from './select.ts';
import { parseJsonObject, type JsonObject } from './text.ts';
import type { Views } from './views.ts';

export interface ExampleOptions {
  conversation: ConversationOptions;
  views: Pick<Views, 'cut' | 'tokenBudget' | 'countTokens'>;
}

/** `over-budget`: not even the first reply ends within the token budget. */
export type ExampleLoss = ConversationLoss | 'over-budget';

/** `written` is `whole` up to the last reply within the token budget, where rows are cut. Throws DatasetError where the store lacks the trajectory. */
export async function readExample(
  sample: FinishedSample,
  side: RolloutSide,
  options: ExampleOptions,
): Promise<{ whole: Example; written: Example } | { lost: ExampleLoss }> {
  const recorded = await side.trajectory().catch((cause: unknown) => {
    throw new DatasetError(
      `the trajectory of ${side.rolloutId} cannot be read: ${String(cause)}; look at the store with \`twinpatch doctor\``,
      { cause },
    );
  });
  const trajectory = guardTrajectory(recorded, options.conversation.secrets ?? 'mask');
  if (trajectory === undefined) return { lost: 'secret' };
  const read = toConversation(trajectory, options.conversation);
  if ('lost' in read) return read;
  const verified = await sample.verification?.();
  const verification = verified && toJson(verified);
  const origin = toOrigin({
    instanceId: sample.sampleKey,
    rollout: side.rolloutId,
    recall: sample.recall,
    simulated: side.simulated,
    provenance: {
      ...sample.provenance,
      ...side.provenance,
      ...(verification && { verification }),
    },
  });
  const whole = { conversation: read.conversation, trajectory, origin };
  const written = options.views.cut ? cut(whole, options) : whole;
  return 'lost' in written ? written : { whole, written };
}

// --- internal ---

/** As rows hold it: all but the figures of single files, whose number knows no bound. */
function toJson({ files: _files, ...verification }: SampleVerification): JsonObject | undefined {
  return parseJsonObject(JSON.stringify(verification));
}

function cut(
  example: Example,
  { conversation, views }: ExampleOptions,
): Example | { lost: ExampleLoss } {
  const { turns, ...rest } = example.trajectory;
  const replies = turns.flatMap(({ role }, index) => (role === 'assistant' ? [index] : []));
  const { keptReplies } = measure(example.conversation, views.countTokens, views.tokenBudget);
  if (keptReplies === 0) return { lost: 'over-budget' };
  if (keptReplies === replies.length) return example;
  const trajectory: Trajectory = { ...rest, turns: turns.slice(0, replies[keptReplies - 1]! + 1) };
  const read = toConversation(trajectory, conversation);
  if ('lost' in read) return read;
  const { origin } = example;
  const provenance = { ...origin.provenance, cut: { replies: keptReplies, of: replies.length } };
  return { conversation: read.conversation, trajectory, origin: { ...origin, provenance } };
}
