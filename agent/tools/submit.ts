/** The `submit` tool: the first call is answered with a review of the whole change, the second one is final. */

import { z } from 'zod';
import { REPOSITORY_PATH } from '../../domain/ids.ts';
import { render } from '../../domain/prompts.ts';
import type { ToolSchema } from '../../domain/trajectory.ts';
import { clip } from '../clip.ts';
import type { Outcome, ToolContext } from './tool.ts';

/** Calls of `submit` that end a rollout. */
export const FINAL_SUBMIT = 2;

export const submitArguments = z.strictObject({});

export const SUBMIT: ToolSchema = {
  type: 'function',
  function: {
    name: 'submit',
    description:
      'Hands in the repository as it is now. The first time, the whole change is shown for a last review; the next time is final.',
    parameters: { type: 'object', properties: {}, additionalProperties: false },
  },
};

/**
 * Compares with the first commit, so commits of the agent hide nothing, and through a copy of the index, so its own git
 * state stays as it is. It only shows: the patch that counts is computed outside the sandbox.
 */
const SHOW_DIFF = `index=$(mktemp) && cp "$(git rev-parse --git-path index)" "$index" || exit 1
export GIT_INDEX_FILE="$index"
git add --all . 2>/dev/null && base=$(git rev-list --max-parents=0 HEAD | tail -n 1) &&
  git --no-pager -c core.quotePath=false diff --cached --no-color --no-ext-diff --no-textconv "$base"
status=$?
rm -f "$index"
exit "$status"`;
const DIFF_TIMEOUT_MS = 60_000;
/** The change is shown at greater length than other output: it is what the review is about. */
const DIFF_LENGTH_FACTOR = 4;

/** Shows the change as it stands: in the review text at first, as the final change when it was the last call. */
export async function submit(context: ToolContext): Promise<Outcome> {
  const { diff, durationMs } = await showDiff(context);
  const isFinal = context.submits + 1 >= FINAL_SUBMIT;
  const content = isFinal
    ? `Submitted. This is the final change:\n\n${diff}`
    : render(context.plan.review, { diff });
  return { kind: 'submit', content, durationMs };
}

async function showDiff(context: ToolContext): Promise<{ diff: string; durationMs: number }> {
  const maxChars = context.plan.limits.maxObservationChars * DIFF_LENGTH_FACTOR;
  const request = {
    id: `${context.id}/diff`,
    command: SHOW_DIFF,
    shell: { cwd: REPOSITORY_PATH, env: {} },
    timeoutMs: DIFF_TIMEOUT_MS,
    maxOutputBytes: maxChars * 4,
  };
  const result = await context.sandbox.run(request, context.signal);
  if (result.end !== 'exited' || result.exitCode !== 0) {
    const diff =
      '[git cannot show the change in this repository any more; check your files yourself]';
    return { diff, durationMs: result.durationMs };
  }
  const diff = result.output === '' ? '[nothing has been changed]' : result.output.trimEnd();
  return { diff: clip(diff, maxChars), durationMs: result.durationMs };
}
