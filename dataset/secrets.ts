/** Secrets that got into a rollout: what a command printed, what a file held that the snapshot's scan does not know. */

import { maskSecrets } from '../domain/secrets.ts';
import type { ToolCall, Trajectory, Turn } from '../domain/trajectory.ts';

/** What secrets of known shapes do in rows: they are hidden, cost the row, or stay. */
export type SecretPolicy = 'mask' | 'drop' | 'keep';

/** The rollout by the policy; undefined where a secret costs the row. One without secrets comes back as it is. */
export function guardTrajectory(
  trajectory: Trajectory,
  policy: SecretPolicy,
): Trajectory | undefined {
  if (policy === 'keep') return trajectory;
  let isFound = false;
  const hide = (text: string): string => {
    const masked = maskSecrets(text);
    isFound ||= masked !== text;
    return masked;
  };
  const turns = trajectory.turns.map((turn) => hideIn(turn, hide));
  if (!isFound) return trajectory;
  return policy === 'drop' ? undefined : { ...trajectory, turns };
}

// --- internal ---

/** Masks are `x` alone, so the JSON text of arguments stays one. */
function hideIn(turn: Turn, hide: (text: string) => string): Turn {
  const content = hide(turn.content);
  if (turn.role !== 'assistant') return { ...turn, content };
  const { reasoning, toolCalls } = turn;
  return {
    ...turn,
    content,
    ...(reasoning !== undefined && { reasoning: hide(reasoning) }),
    ...(toolCalls && {
      toolCalls: toolCalls.map((call): ToolCall => ({ ...call, arguments: hide(call.arguments) })),
    }),
  };
}
