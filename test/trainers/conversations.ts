/** The rollouts that real trainers were given: what they made of them is in `test/fixtures/trainers/`. */

import { toConversation, type Conversation } from '../../dataset/conversation.ts';
import { formatOf } from '../../dataset/formats/formats.ts';
import { toOrigin, type Row } from '../../dataset/row.ts';
import type { Trajectory, Turn } from '../../domain/trajectory.ts';
import type { FormatName } from '../../dataset/formats/names.ts';
import { answer, bash, call, opening } from '../dataset/fixtures.ts';

const thinking = (reply: Turn, reasoning: string): Turn => ({ ...reply, reasoning }) as Turn;

const calls: Turn[] = [
  ...opening,
  thinking(call('bash', { command: 'ls -l "src"' }), 'Look first.'),
  answer('a.py\n\ttab  and  blanks\r\n'),
  thinking(
    call('bash', { command: "grep -n 'größer' a.py | head -3", timeout: 5 }),
    'Then read 日本語.',
  ),
  answer('3:    return "größer" # 😀'),
  { ...call('bash', { command: 'submit' }), content: 'It is done.' },
];

/** Two calls in a turn, answers that are empty or long, a reply without a call at the end. */
const several: Turn[] = [
  ...opening,
  {
    role: 'assistant',
    reasoning: 'Two at once.\n\nWhy not?',
    content: 'I read both.',
    toolCalls: [
      { id: 'c1', name: 'bash', arguments: '{"command":"cat a.py"}' },
      { id: 'c2', name: 'bash', arguments: '{"command":"cat \\"ä\\" # {}"}' },
    ],
  },
  answer('def f():\n    return {"a": [1, 2]}\n'.repeat(2), 'c1'),
  answer('', 'c2'),
  { role: 'assistant', content: 'Done.' },
];

/** A reply that failed by its own fault, which nobody shall learn. */
const failed: Turn[] = [
  ...opening,
  call('bash', { command: 'cat missing' }),
  { role: 'tool', toolCallId: 'c1', content: 'No such file.', failed: true },
  thinking(call('bash', { command: 'submit' }), 'Then this.'),
];

/** A reply that was refused, and is no call. */
const refused: Turn[] = [
  ...opening,
  { role: 'assistant', content: 'bash ls', malformed: true },
  { role: 'user', content: 'Use the tool.' },
  call('bash', { command: 'submit' }),
];

export const ROLLOUTS = { calls, several, failed, refused } as const;
export type RolloutName = keyof typeof ROLLOUTS;
export const ROLLOUT_NAMES = Object.keys(ROLLOUTS) as RolloutName[];

export const CONVERSATION_OPTIONS = { chatTokens: 'drop', maskFailed: true } as const;

export function trajectoryOf(name: RolloutName): Trajectory {
  return { rolloutId: name, turns: ROLLOUTS[name], tools: [bash] };
}

export function conversationOf(name: RolloutName): Conversation {
  const read = toConversation(trajectoryOf(name), CONVERSATION_OPTIONS);
  if ('lost' in read) throw new Error(read.lost);
  return read.conversation;
}

/** The row of a rollout; its origin is the same for all. */
export function rowOf(name: RolloutName, format: FormatName): Row {
  const origin = toOrigin({
    instanceId: name,
    rollout: name,
    recall: { exact: 0.75, sera: 1 },
    simulated: false,
    provenance: { commit: 'abc' },
  });
  return formatOf(format).render({
    conversation: conversationOf(name),
    trajectory: trajectoryOf(name),
    origin,
  });
}
