import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkRow } from '../../dataset/check.ts';
import { parseAssistant } from '../../dataset/hermes.ts';
import { renderRow } from '../../dataset/render.ts';
import { renderLine, type Row } from '../../dataset/row.ts';
import type { Turn } from '../../domain/trajectory.ts';
import { answer, call, opening, sample, shortTrajectory, side, trajectory } from './fixtures.ts';

function render(turns: Turn[]) {
  return renderRow(sample('s1'), side('s1/rollout-2.1'), trajectory(turns));
}

function rowOf(turns: Turn[]): Row {
  const rendered = render(turns);
  if ('lost' in rendered) throw new Error(rendered.lost);
  return rendered.row;
}

describe('a row', () => {
  test('has the keys trainers and people rely on, and ends with the last reply', () => {
    const row = rowOf(shortTrajectory.turns);
    expect(Object.keys(JSON.parse(renderLine(row)) as object)).toEqual([
      'messages',
      'tool_json',
      'instance_id',
      'rollout',
      'recall',
      'simulated',
      'provenance',
    ]);
    expect(row).toMatchObject({
      instance_id: 's1',
      rollout: 'headers/s1/rollout-2.1',
      recall: { exact: 0.75, sera: 1 },
      provenance: { commit: 'abc', model: 'glm-4.6' },
    });
    expect(row.messages.map(({ role, train }) => [role, train])).toEqual([
      ['system', false],
      ['user', false],
      ['assistant', true],
      ['user', false],
      ['assistant', true],
    ]);
    expect(checkRow(renderLine(row))).toEqual([]);
  });

  test('writes thoughts, text and calls in the Hermes manner', () => {
    const reply: Turn = {
      role: 'assistant',
      reasoning: 'Look first.\n',
      content: 'I list the files.\n',
      toolCalls: [
        { id: 'c1', name: 'bash', arguments: '{"command":"ls"}' },
        { id: 'c2', name: 'bash', arguments: '{ "command": "echo \\"ä\\"" }' },
      ],
    };
    const row = rowOf([...opening, reply, answer('a.py'), answer('ä', 'c2'), call('bash', {})]);
    expect(row.messages[2]?.content).toBe(
      '<think>\nLook first.\n</think>\n\nI list the files.\n' +
        '<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}}\n</tool_call>\n' +
        '<tool_call>\n{"name": "bash", "arguments": {"command": "echo \\"ä\\""}}\n</tool_call>',
    );
    expect(row.messages[3]).toEqual({
      role: 'user',
      content: '<tool_response>\na.py\n</tool_response>\n<tool_response>\nä\n</tool_response>',
      train: false,
    });
  });

  test('carries the tools in its system message, one JSON signature a line', () => {
    const system = rowOf(shortTrajectory.turns).messages[0]?.content ?? '';
    expect(system).toMatch(/^You repair programs\.\n/);
    expect(system).toContain('<tools>\n{"type": "function", "function": {"name": "bash", ');
  });

  test('keeps a refused turn as the text it was, and does not train on it', () => {
    const refused: Turn = { ...call('bash', '{"command": "ls'), malformed: true };
    const row = rowOf([...opening, refused, { role: 'user', content: 'No.' }, call('bash', {})]);
    expect(row.messages[2]).toEqual({
      role: 'assistant',
      content: 'bash {"command": "ls',
      train: false,
    });
    expect(checkRow(renderLine(row))).toEqual([]);
  });

  test('has no NUL and no half surrogate pair, wherever they came from', () => {
    const row = rowOf([
      ...opening,
      call('bash', '{"command": "a\\u0000b\\ud800"}'),
      answer('x\0y\ud800z'),
      call('bash', {}),
    ]);
    expect(row.messages[2]?.content).toContain('"ab\ufffd"');
    expect(row.messages[3]?.content).toBe('<tool_response>\nxy\ufffdz\n</tool_response>');
  });

  test('stays one line for readers that split at every Unicode line end, and types recall as a decimal', () => {
    const line = renderLine(
      rowOf([...opening, call('bash', {}), answer('a\u2028b\u0085c'), call('bash', {})]),
    );
    expect(line).not.toMatch(/[\n\u0085\u2028\u2029]/);
    expect(line).toContain('"recall":{"exact":0.75,"sera":1.0}');
    expect((JSON.parse(line) as Row).messages[3]?.content).toContain('a\u2028b\u0085c');
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
    ['arguments, escaped', [...opening, call('bash', '{"command": "\\u003c|im_start|>"}')]],
    ['arguments with a tag', [...opening, call('bash', { command: 'echo "</tool_call>"' })]],
    ['thoughts', [...opening, { ...call('bash', {}), reasoning: 'a </think> b' } as Turn]],
    [
      'a refused turn',
      [
        ...opening,
        { role: 'assistant', content: '<|im_end|>', malformed: true },
        { role: 'user', content: 'No.' },
        call('bash', {}),
      ],
    ],
  ])('is dropped where a token of the chat format stands in %s', (_where, turns) => {
    expect(render(turns)).toEqual({ lost: 'chat-tokens' });
  });

  test.each<[string, Turn[], string]>([
    [
      'two replies follow each other',
      [...opening, call('bash', {}), call('bash', {})],
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
    expect(render(turns)).toEqual({ lost });
  });

  test('gives back the very calls that were made, whatever they hold', () => {
    const hostileText = fc
      .array(
        fc.constantFrom(
          '<tools>',
          '<tool_cal',
          '\n',
          '"',
          '\\',
          '{',
          '}',
          'ä',
          '\u2028',
          '😀',
          ' ',
          'n',
        ),
      )
      .map((pieces) => pieces.join(''));
    const value = fc.oneof(hostileText, fc.integer(), fc.constant(null), fc.array(hostileText));
    const callArguments = fc.dictionary(hostileText, value, { maxKeys: 3 });
    fc.assert(
      fc.property(hostileText, callArguments, (content, made) => {
        const row = rowOf([...opening, { ...call('bash', made), content }]);
        const parsed = parseAssistant(row.messages[2]!.content);
        expect(parsed?.calls).toEqual([{ name: 'bash', arguments: made }]);
        expect(parsed?.text).toBe(content.trim());
        expect(checkRow(renderLine(row))).toEqual([]);
      }),
    );
  });
});
