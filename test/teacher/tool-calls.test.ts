/** Tool calls in the forms that models and endpoints give them: performed as they are, after a named rule, or answered. */

import { expect, test } from 'vitest';
import { parseReply } from '../../agent/reply.ts';
import { TOOLS } from '../../agent/tools/profile.ts';
import type { Completion } from '../../domain/ports.ts';
import { readReply, toFinishReason } from '../../teacher/reply.ts';
import type { TextFormat } from '../../teacher/text-calls.ts';

interface Fixture {
  message: Record<string, unknown>;
  finish?: string;
  textFormat?: TextFormat;
  callsPerTurn?: 'one' | 'several';
}

/** What comes of a reply on its way from the wire through the agent's own reading. */
function readThrough({ message, finish = 'tool_calls', textFormat, callsPerTurn }: Fixture) {
  const raw = { message, finishReason: finish, usage: null, model: null, fingerprint: null };
  const { message: read, repairs } = readReply(raw, { step: 4, tools: TOOLS, textFormat });
  const completion: Completion = {
    message: read,
    repairs,
    finishReason: toFinishReason(raw),
    usage: { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, reasoningTokens: 0 },
    costUsd: null,
    model: 'm',
    endpoint: 'e',
    simulated: false,
    durationMs: 1,
  };
  const parsed = parseReply(completion, 4, callsPerTurn ?? 'one');
  const history = parsed.message.toolCalls ?? [];
  // Whatever came, the conversation can be sent back.
  for (const call of history) expect(JSON.parse(call.arguments)).toBeTypeOf('object');
  expect(new Set(history.map(({ id }) => id)).size).toBe(history.length);
  return { parsed, rules: repairs.map(({ rule }) => rule) };
}

const call = (args: unknown, name: unknown = 'bash', id: unknown = 'c1') => ({
  id,
  type: 'function',
  function: { name, arguments: args },
});
const calls = (...list: unknown[]): Fixture => ({ message: { content: 'So.', tool_calls: list } });
const args = (value: unknown): Fixture => calls(call(value));
const edit = (value: unknown): Fixture => calls(call(value, 'str_replace_editor'));
const said = (textFormat: TextFormat, ...lines: string[]): Fixture => ({
  message: { content: lines.join('\n') },
  finish: 'stop',
  textFormat,
});

const LS = { tool: 'bash', args: { command: 'ls' } };
const TWO_LINES = { tool: 'bash', args: { command: 'ls\n\tpwd' } };
const VIEW = (range?: number[]) => ({
  tool: 'str_replace_editor',
  args: { command: 'view', path: 'a', ...(range && { view_range: range }) },
});
const several = (fixture: Fixture): Fixture => ({ ...fixture, callsPerTurn: 'several' });

test.each<[string, Fixture, object[]]>([
  ['a call as it should be', args('{"command":"ls"}'), [LS]],
  ['spaces and line ends between', args(' {\n "command" : "ls" }\n'), [LS]],
  ['escapes within', args(String.raw`{"command":"ls\n\tpwd"}`), [TWO_LINES]],
  ['text beside the call', { ...args('{"command":"ls"}'), finish: 'stop' }, [LS]],
  ['another finish reason', { ...args('{"command":"ls"}'), finish: 'whatever' }, [LS]],
  [
    'the old form of one call',
    { message: { function_call: { name: 'submit', arguments: '{}' } } },
    [{ tool: 'submit' }],
  ],
  [
    'two calls where several are allowed',
    several(calls(call('{"command":"ls"}'), call('{}', 'submit', 'c2'))),
    [LS, { tool: 'submit' }],
  ],
  [
    'JSON in tags',
    said(
      'hermes',
      'So.',
      '<tool_call>',
      '{"name":"bash","arguments":{"command":"ls"}}',
      '</tool_call>',
    ),
    [LS],
  ],
  [
    'JSON in tags whose last one is missing',
    said('hermes', '<tool_call>{"name":"bash","arguments":{"command":"ls"}}'),
    [LS],
  ],
  [
    'JSON in tags with parameters',
    said('hermes', '<tool_call>{"name":"bash","parameters":{"command":"ls"}}</tool_call>'),
    [LS],
  ],
  [
    'a call in tags after reasoning',
    said('hermes', '<think>r</think>', '<tool_call>{"name":"submit","arguments":{}}</tool_call>'),
    [{ tool: 'submit' }],
  ],
  [
    'function and parameter tags',
    said(
      'qwen-xml',
      '<tool_call>',
      '<function=bash>',
      '<parameter=command>',
      'ls',
      '</parameter>',
      '</function>',
      '</tool_call>',
    ),
    [LS],
  ],
  [
    'function tags alone, with a list',
    said(
      'qwen-xml',
      '<function=str_replace_editor>',
      '<parameter=command>view</parameter>',
      '<parameter=path>a</parameter>',
      '<parameter=view_range>[1, 9]</parameter>',
      '</function>',
    ),
    [VIEW([1, 9])],
  ],
  [
    'a parameter that holds its own end tag',
    said(
      'qwen-xml',
      '<function=bash>',
      '<parameter=command>echo "</parameter>"</parameter>',
      '</function>',
    ),
    [{ tool: 'bash', args: { command: 'echo "</parameter>"' } }],
  ],
  [
    'a number that is a text',
    said('qwen-xml', '<function=bash><parameter=command>7</parameter></function>'),
    [{ tool: 'bash', args: { command: '7' } }],
  ],
  [
    'keys and values in tags',
    said(
      'glm',
      '<tool_call>str_replace_editor',
      '<arg_key>command</arg_key>',
      '<arg_value>view</arg_value>',
      '<arg_key>path</arg_key>',
      '<arg_value>a</arg_value>',
      '<arg_key>view_range</arg_key>',
      '<arg_value>[1, 9]</arg_value>',
      '</tool_call>',
    ),
    [VIEW([1, 9])],
  ],
  ['a name in tags', said('glm', '<tool_call>submit', '</tool_call>'), [{ tool: 'submit' }]],
  [
    'two calls in tags where several are allowed',
    several(
      said(
        'glm',
        '<tool_call>bash<arg_key>command</arg_key><arg_value>ls</arg_value></tool_call><tool_call>submit</tool_call>',
      ),
    ),
    [LS, { tool: 'submit' }],
  ],
])('%s: is performed', (_, fixture, uses) => {
  const { parsed, rules } = readThrough(fixture);
  expect(parsed.kind === 'calls' && parsed.calls.map(({ use }) => use)).toMatchObject(uses);
  // Calls in a text have no ids of their own.
  expect(rules.filter((rule) => rule !== 'call-id')).toEqual([]);
});

test.each<[string, string[], Fixture, object]>([
  ['an empty id', ['call-id'], calls(call('{"command":"ls"}', 'bash', '')), LS],
  ['no id', ['call-id'], calls(call('{"command":"ls"}', 'bash', null)), LS],
  ['the object itself', ['object-arguments'], args({ command: 'ls' }), LS],
  ['no arguments', ['no-arguments'], calls(call(undefined, 'submit')), { tool: 'submit' }],
  ['null', ['no-arguments'], calls(call(null, 'submit')), { tool: 'submit' }],
  ['an empty text', ['no-arguments'], calls(call(' ', 'submit')), { tool: 'submit' }],
  ['a code fence', ['code-fence'], args('```json\n{"command":"ls"}\n```'), LS],
  ['bare line ends and tabs', ['control-characters'], args('{"command":"ls\n\tpwd"}'), TWO_LINES],
  ['a comma too many', ['trailing-comma'], args('{"command":"ls",}'), LS],
  ['quotes behind', ['trailing-text'], calls(call('{}""', 'submit')), { tool: 'submit' }],
  ['a bracket behind', ['trailing-text'], args('{"command":"ls"}}'), LS],
  ['an end tag behind', ['trailing-text'], args('{"command":"ls"}\n</tool_call>'), LS],
  ['an empty object before', ['empty-object'], args('{}{"command":"ls"}'), LS],
  ['an empty object behind', ['empty-object'], args('{"command":"ls"}{}'), LS],
  ['itself twice', ['repeated-object'], args('{"command":"ls"}{"command": "ls"}'), LS],
  ['JSON in JSON', ['nested-text'], args(JSON.stringify('{"command":"ls"}')), LS],
  ['the call in itself', ['nested-call'], args('{"name":"bash","arguments":{"command":"ls"}}'), LS],
  ['the call in itself as a text', ['nested-call'], args({ arguments: '{"command":"ls"}' }), LS],
  [
    'null for what may be left out',
    ['null-argument'],
    edit('{"command":"view","path":"a","view_range":null}'),
    VIEW(),
  ],
  [
    'a list as a text',
    ['value-as-text'],
    edit('{"command":"view","path":"a","view_range":"[1, 9]"}'),
    VIEW([1, 9]),
  ],
  [
    'a number as a text',
    ['value-as-text'],
    edit('{"command":"insert","path":"a","insert_line":"3","new_str":"x"}'),
    { args: { insert_line: 3 } },
  ],
  ['a namespace', ['tool-name'], calls(call('{"command":"ls"}', 'functions.bash')), LS],
  [
    'a number behind the name',
    ['tool-name'],
    calls(call('{"command":"ls"}', 'functions.bash:0')),
    LS,
  ],
  ['a name in capitals', ['tool-name'], calls(call('{"command":"ls"}', 'Bash')), LS],
  ['a name with a line end', ['tool-name'], calls(call('{"command":"ls"}', 'bash\n')), LS],
  [
    'a name with a mark of its template',
    ['tool-name'],
    calls(call('{"command":"ls"}', 'bash<|channel|>commentary')),
    LS,
  ],
  [
    'two rules at once',
    ['control-characters', 'trailing-text'],
    args('{"command":"ls\n\tpwd"}"'),
    TWO_LINES,
  ],
  [
    'bare line ends in tags',
    ['control-characters'],
    said('hermes', '<tool_call>{"name":"bash","arguments":{"command":"ls\n\tpwd"}}</tool_call>'),
    TWO_LINES,
  ],
])('%s: is performed by the rule %j', (_, expected, fixture, use) => {
  const { parsed, rules } = readThrough(fixture);
  expect(parsed.kind === 'calls' && parsed.calls[0]?.use).toMatchObject(use);
  expect(rules).toEqual(expect.arrayContaining(expected));
  const own = new Set(['call-id', 'object-arguments']);
  expect(rules.filter((rule) => !expected.includes(rule) && !own.has(rule))).toEqual([]);
});

test.each<[string, Fixture, string]>([
  ['a call that is announced and not there', { message: { content: 'So.' } }, 'no tool call'],
  ['an empty reply', { message: {}, finish: 'stop' }, 'no tool call'],
  ['a refusal', { message: { refusal: 'No.' }, finish: 'stop' }, 'no tool call'],
  [
    'two calls where one is allowed',
    calls(call('{"command":"ls"}'), call('{}', 'submit')),
    '2 tool calls',
  ],
  ['arguments that broke off', { ...args('{"command":"rm -r /tm'), finish: 'length' }, 'broke off'],
  [
    'whole arguments of a reply that broke off',
    { ...args('{"command":"ls"}'), finish: 'length' },
    'broke off',
  ],
  ['arguments that broke off unnoticed', args('{"command":"rm -r /tm'), 'not a JSON object'],
  [
    'a text in tags that broke off',
    { ...said('hermes', '<tool_call>{"name":"bash","arguments":{"comm'), finish: 'length' },
    'broke off',
  ],
  [
    'a call of a filtered reply',
    { ...args('{"command":"ls"}'), finish: 'content_filter' },
    'no tool call',
  ],
  ['two different objects', args('{"command":"ls"}{"command":"pwd"}'), 'not a JSON object'],
  ['words behind the object', args('{"command":"ls"} and then pwd'), 'not a JSON object'],
  ['words before the object', args('command: {"command":"ls"}'), 'not a JSON object'],
  ['single quotes', args("{'command':'ls'}"), 'not a JSON object'],
  ['the bare command', args('ls'), 'not a JSON object'],
  ['NaN', edit('{"command":"view","path":"a","view_range":NaN}'), 'not a JSON object'],
  ['an unknown escape', args(String.raw`{"command":"grep \d"}`), 'not a JSON object'],
  ['a list', args('["ls"]'), 'not a JSON object'],
  ['a number', args(7), 'not a JSON object'],
  ['a text in a text in a text', args(JSON.stringify(JSON.stringify('ls'))), 'not a JSON object'],
  ['a missing field', args('{}'), '`command`'],
  ['null for what is needed', args('{"command":null}'), '`command`'],
  ['a field too many', args('{"command":"ls","timeout":3}'), '"timeout"'],
  ['a list for a text', args('{"command":["ls"]}'), '`command`'],
  ['a number for a text', args('{"command":7}'), '`command`'],
  [
    'half a number',
    edit('{"command":"insert","path":"a","insert_line":"3.5","new_str":"x"}'),
    '`insert_line`',
  ],
  ['an unknown tool', calls(call('{"code":"1"}', 'python')), 'no tool `python`'],
  ['a tool without a name', calls(call('{"command":"ls"}', '')), 'no tool ``'],
  ['a tool that is a list', calls(call('{"command":"ls"}', ['bash'])), 'no tool ``'],
  [
    'no JSON in tags',
    said('hermes', '<tool_call>{"name":"bash","arguments":{"command":</tool_call>'),
    'not a JSON object',
  ],
  ['no call in tags', said('hermes', '<tool_call>ls</tool_call>'), 'no tool call'],
  [
    'words between parameter tags',
    said('qwen-xml', '<function=bash>first<parameter=command>ls</parameter></function>'),
    'not a JSON object',
  ],
  [
    'a parameter given twice',
    said(
      'qwen-xml',
      '<function=bash><parameter=command>ls</parameter><parameter=command>pwd</parameter></function>',
    ),
    'not a JSON object',
  ],
  [
    'a parameter without its end',
    said('qwen-xml', '<function=bash><parameter=command>ls</function>'),
    'not a JSON object',
  ],
  [
    'a key without its value',
    said('glm', '<tool_call>bash<arg_key>command</arg_key></tool_call>'),
    'not a JSON object',
  ],
  [
    'tags where the endpoint reads calls itself',
    {
      ...said('hermes', '<tool_call>{"name":"submit","arguments":{}}</tool_call>'),
      textFormat: undefined as never,
    },
    'no tool call',
  ],
])('%s: is answered, and nothing is performed', (_, fixture, reason) => {
  const { parsed } = readThrough(fixture);
  expect(parsed.kind === 'format-error' && parsed.problem).toContain(reason);
});

test('five megabytes of arguments are read in moments, broken or not', () => {
  const long = 'x'.repeat(5_000_000);
  const before = process.cpuUsage();
  expect(readThrough(args(`{"command":"${long}"}`)).parsed.kind).toBe('calls');
  expect(readThrough(args(`{"command":"${long}\n"}"`)).rules).toEqual([
    'control-characters',
    'trailing-text',
  ]);
  expect(readThrough(args(`{"command":"${long}`)).parsed.kind).toBe('format-error');
  const tags = '<function=bash><parameter=command>'.repeat(100_000);
  expect(readThrough(said('qwen-xml', tags)).parsed.kind).toBe('format-error');
  const { user } = process.cpuUsage(before);
  expect(user / 1000).toBeLessThan(5000); // of its own CPU: the machine may be busy
});

test('what stood there is kept with the rule, shortened', () => {
  const { repairs } = readReply(
    {
      message: { tool_calls: [call(`{"command":"${'x'.repeat(9000)}"}}`)] },
      finishReason: 'tool_calls',
      usage: null,
      model: null,
      fingerprint: null,
    },
    { step: 1, tools: TOOLS },
  );
  expect(repairs).toMatchObject([{ rule: 'trailing-text', call: 0 }]);
  expect(repairs[0]?.was).toBe(`{"command":"${'x'.repeat(988)}`);
});
