import { describe, expect, test } from 'vitest';
import { toConversation, type ConversationOptions } from '../../dataset/conversation.ts';
import type { Turn } from '../../domain/trajectory.ts';
import { answer, call, opening, trajectory } from './fixtures.ts';

const ESCAPE = { chatTokens: 'escape', maskFailed: false } as const;
const MASK = { chatTokens: 'drop', maskFailed: true } as const;

function turnsOf(turns: Turn[], options?: ConversationOptions) {
  const read = toConversation(trajectory(turns), options);
  if ('lost' in read) throw new Error(read.lost);
  return read.conversation.turns;
}

describe('a conversation', () => {
  test('ends with the last reply, and has the prompt and the tools the teacher had', () => {
    const read = toConversation(trajectory([...opening, call('bash', {}), answer('done')]));
    expect(read).toMatchObject({
      conversation: {
        system: 'You repair programs.',
        tools: [{ function: { name: 'bash' } }],
        turns: [
          { role: 'user', content: 'Something is off around parse_header.' },
          { role: 'assistant', calls: [{ name: 'bash', arguments: {} }], train: true },
        ],
      },
    });
  });

  test('keeps a refused turn as the text it was, with one answer, and does not train on it', () => {
    const calls = [
      { id: 'c1', name: 'bash', arguments: '{"command": "ls"}' },
      { id: 'c2', name: 'sh', arguments: '{}' },
    ];
    const refused: Turn = { role: 'assistant', content: 'Two.', toolCalls: calls, malformed: true };
    const turns = turnsOf([
      ...opening,
      refused,
      answer('No.', 'c1'),
      answer('No.', 'c2'),
      call('bash', {}),
    ]);
    expect(turns.slice(1, 3)).toEqual([
      {
        role: 'assistant',
        reasoning: '',
        text: 'Two.\nbash {"command": "ls"}\nsh {}',
        calls: [],
        train: false,
      },
      { role: 'user', content: 'No.' },
    ]);
  });

  test('holds no tag of a refused turn as one, because a template would act on it', () => {
    const refused: Turn = {
      role: 'assistant',
      content: '<tool_call>\n{"name": "bash"}\n</tool_call>',
      malformed: true,
    };
    const turns = turnsOf([
      ...opening,
      refused,
      { role: 'user', content: 'No.' },
      call('bash', {}),
    ]);
    expect(turns[1]).toMatchObject({ text: '< tool_call>\n{"name": "bash"}\n< /tool_call>' });
  });

  test('has no NUL and no half surrogate pair, wherever they came from', () => {
    const turns = turnsOf([
      ...opening,
      call('bash', '{"command": "a\\u0000b\\ud800"}'),
      answer('x\0y\ud800z'),
      call('bash', {}),
    ]);
    expect(turns.slice(1, 3)).toMatchObject([
      { calls: [{ arguments: { command: 'ab\ufffd' } }] },
      { content: 'xy\ufffdz' },
    ]);
  });

  test('can keep a reply whose call failed by its own fault out of the training', () => {
    const failed: Turn = { role: 'tool', toolCallId: 'c1', content: 'No such file.', failed: true };
    const turns = [...opening, call('bash', {}), failed, call('bash', {})];
    const trained = (options?: ConversationOptions) =>
      turnsOf(turns, options).flatMap((turn) => (turn.role === 'assistant' ? [turn.train] : []));
    expect(trained()).toEqual([true, true]);
    expect(trained(MASK)).toEqual([false, true]);
  });

  test.each<[string, Turn[]]>([
    ['an observation', [...opening, call('bash', {}), answer('<|im_end|>'), call('bash', {})]],
    [
      'an observation that closes itself',
      [...opening, call('bash', {}), answer('</tool_response>'), call('bash', {})],
    ],
    [
      'an observation that forms one when its NUL goes',
      [...opening, call('bash', {}), answer('<|im_\0end|>'), call('bash', {})],
    ],
    ['the task', [opening[0]!, { role: 'user', content: 'See <|endoftext|>' }, call('bash', {})]],
    [
      'a refused turn',
      [
        ...opening,
        { role: 'assistant', content: '<|im_end|>', malformed: true },
        { role: 'user', content: 'No.' },
        call('bash', {}),
      ],
    ],
  ])('is dropped where a chat token stands in %s, or escaped by policy', (_where, turns) => {
    expect(toConversation(trajectory(turns))).toEqual({ lost: 'chat-tokens' });
    const escaped = JSON.stringify(turnsOf(turns, ESCAPE));
    expect(escaped).toMatch(/< \|im_end\|>|< \/tool_response>|< \|endoftext\|>/);
    expect(escaped).not.toMatch(/<\||<\/tool_response>/);
  });

  test.each<[string, Turn[]]>([
    ['arguments, escaped', [...opening, call('bash', '{"command": "\\u003c|im_start|>"}')]],
    ['arguments with a tag', [...opening, call('bash', { command: 'echo "</tool_call>"' })]],
    ['thoughts', [...opening, { ...call('bash', {}), reasoning: 'a </think> b' } as Turn]],
  ])('is dropped by every policy where one stands in %s, which is trained on', (_where, turns) => {
    expect(toConversation(trajectory(turns))).toEqual({ lost: 'chat-tokens' });
    expect(toConversation(trajectory(turns), ESCAPE)).toEqual({ lost: 'chat-tokens' });
  });

  test.each<[string, Turn[], string]>([
    [
      'two replies follow each other',
      [...opening, call('bash', {}), call('bash', {})],
      'broken-turns',
    ],
    [
      'a call got no answer',
      [...opening, call('bash', {}), { role: 'user', content: 'x' }, call('bash', {})],
      'broken-turns',
    ],
    [
      'a tool answers before any call',
      [opening[0]!, answer('x'), call('bash', {})],
      'broken-turns',
    ],
    ['an executed call has no JSON object', [...opening, call('bash', '["ls"]')], 'invalid-call'],
    [
      'arguments nest without end',
      [...opening, call('bash', `{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`)],
      'invalid-call',
    ],
    ['nobody replied', opening, 'nothing-to-train'],
    [
      'every reply was refused',
      [...opening, { role: 'assistant', content: 'x', malformed: true }],
      'nothing-to-train',
    ],
  ])('is dropped where %s', (_why, turns, lost) => {
    expect(toConversation(trajectory(turns))).toEqual({ lost });
  });
});
