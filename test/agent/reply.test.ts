import { describe, expect, test } from 'vitest';
import { parseReply } from '../../agent/reply.ts';
import { type ScriptedReply, toCompletion } from '../support/agent-script.ts';

function parse(reply: ScriptedReply, callsPerTurn: 'one' | 'several' = 'one') {
  return parseReply(toCompletion(reply, 4), 4, callsPerTurn);
}
const call = (name: string, args: unknown): ScriptedReply => ({ calls: [{ name, args }] });
const edit = (args: Record<string, unknown>) => call('str_replace_editor', args);

test.each<[string, ScriptedReply, object]>([
  ['a command', call('bash', { command: 'ls' }), { tool: 'bash', args: { command: 'ls' } }],
  ['a submit', call('submit', {}), { tool: 'submit' }],
  ['a submit whose arguments are no text at all', call('submit', ''), { tool: 'submit' }],
  [
    'a replacement by nothing',
    edit({ command: 'str_replace', path: 'a', old_str: 'x' }),
    { args: { command: 'str_replace', path: 'a', old_str: 'x', new_str: '' } },
  ],
  [
    'a view of a range',
    edit({ command: 'view', path: 'a', view_range: [1, -1] }),
    { args: { view_range: [1, -1] } },
  ],
])('accepts %s', (_what, reply, use) => {
  expect(parse(reply)).toMatchObject({ kind: 'calls', calls: [{ use }] });
});

test.each<[string, ScriptedReply, string]>([
  ['no call', { content: 'Hm.' }, 'held no tool call'],
  ['nothing at all', {}, 'held no tool call'],
  [
    'two calls',
    {
      calls: [
        { name: 'submit', args: {} },
        { name: 'submit', args: {} },
      ],
    },
    '2 tool calls',
  ],
  ['an unknown tool', call('python', { code: '1' }), 'no tool `python`'],
  ['an unknown tool with broken arguments', call('python', '{'), 'no tool `python`'],
  ['broken JSON', call('bash', '{"command": "ls'), 'not a JSON object'],
  ['a list', call('bash', ['ls']), 'not a JSON object'],
  ['a string', call('bash', '"ls"'), 'not a JSON object'],
  ['null', call('bash', 'null'), 'not a JSON object'],
  ['no command', call('bash', {}), '`command`'],
  ['an empty command', call('bash', { command: '' }), 'is empty'],
  ['a NUL in a command', call('bash', { command: 'a\0b' }), 'NUL'],
  ['half a character', call('bash', { command: 'echo \ud800' }), 'half a character'],
  ['a number for a command', call('bash', { command: 7 }), '`command`'],
  ['a field too many', call('bash', { command: 'ls', timeout: 3 }), '"timeout"'],
  ['a field of its prototype', call('bash', '{"command":"ls","__proto__":{}}'), '__proto__'],
  ['an argument to submit', call('submit', { message: 'done' }), '"message"'],
  [
    'an unknown editor command',
    edit({ command: 'delete', path: 'a' }),
    'expected one of view, create',
  ],
  ['no editor command', edit({ path: 'a' }), 'expected one of view, create'],
  ['a missing path', edit({ command: 'view' }), '`path`'],
  ['a create without text', edit({ command: 'create', path: 'a' }), '`file_text`'],
  ['a range of one', edit({ command: 'view', path: 'a', view_range: [1] }), '`view_range`'],
  [
    'a broken line number',
    edit({ command: 'insert', path: 'a', insert_line: 1.5, new_str: '' }),
    '`insert_line`',
  ],
  ['a field of another command', edit({ command: 'view', path: 'a', old_str: 'x' }), '"old_str"'],
  [
    'a reply that broke off',
    { ...call('bash', { command: 'rm -r a' }), finishReason: 'length' },
    'broke off',
  ],
])('refuses %s and says why', (_what, reply, reason) => {
  const parsed = parse(reply);
  expect(parsed).toMatchObject({ kind: 'format-error' });
  expect(parsed.kind === 'format-error' && parsed.problem).toContain(reason);
  expect(parsed.kind === 'format-error' && parsed.problem).toContain('exactly one tool call');
});

describe('several calls', () => {
  const list = { name: 'bash', args: { command: 'ls' } };
  test('are accepted in order, with a submit at the end', () => {
    const reply = { calls: [list, { name: 'submit', args: {} }] };
    expect(parse(reply, 'several')).toMatchObject({
      kind: 'calls',
      calls: [{ use: { tool: 'bash' } }, { use: { tool: 'submit' } }],
    });
  });

  test.each([
    [[{ name: 'submit', args: {} }, list], 'last call'],
    [[list, { name: 'bash', args: {} }], 'call 2 of 2'],
  ])('are refused as a whole: %j', (calls, reason) => {
    const parsed = parse({ calls }, 'several');
    expect(parsed.kind === 'format-error' && parsed.problem).toContain(reason);
  });
});

describe('what stays in the conversation', () => {
  test('has unique call ids, plain names and JSON objects', () => {
    const { message } = parse({
      content: 'Two.',
      calls: [
        { id: 'x', name: 'do it!', args: '{' },
        { id: 'x', name: '', args: '[]' },
        { id: '', name: 'bash', args: { command: 'ls' } },
      ],
    });
    expect(message).toEqual({
      role: 'assistant',
      content: 'Two.',
      toolCalls: [
        { id: 'x', name: 'do_it_', arguments: '{}' },
        { id: 'call-4-2', name: 'unknown', arguments: '{}' },
        { id: 'call-4-3', name: 'bash', arguments: '{"command":"ls"}' },
      ],
    });
  });

  test('is never an empty message', () => {
    expect(parse({}).message.content).not.toBe('');
  });

  test('is short, however long a wrong name is', () => {
    const parsed = parse(call('x'.repeat(50_000), {}));
    expect(parsed.kind === 'format-error' && parsed.problem.length).toBeLessThan(1100);
    expect(parsed.message.toolCalls?.[0]?.name).toHaveLength(64);
  });
});
