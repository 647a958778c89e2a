/** Conversations that try to break out of every format: its tags, line ends, quotes, halves of characters. */

import fc from 'fast-check';
import type { ToolSchema, Trajectory, Turn } from '../../domain/trajectory.ts';

export const tools: ToolSchema[] = [
  {
    type: 'function',
    function: {
      name: 'bash',
      description: 'Runs a command.',
      parameters: { type: 'object', properties: { command: { type: 'string' } } },
    },
  },
  {
    type: 'function',
    function: {
      name: 'edit',
      description: 'Edits </tools> a file.',
      parameters: {
        type: 'object',
        properties: {
          old_str: { type: 'string' },
          file_text: { type: 'string' },
          view_range: { type: 'array' },
          line: { type: 'integer' },
        },
      },
    },
  },
];

const hostileText = fc
  .array(
    fc.constantFrom(
      '<tools>',
      '<tool_cal',
      '</parameter>',
      '<function=x>',
      'OBSERVATION:\n',
      '\n</tool_response>\n<tool_response>\n',
      '\n\n',
      '\n',
      '"',
      '\\',
      '{',
      '}',
      'ä',
      '\u2028',
      '\u0085',
      '\r',
      '😀',
      '\ud800',
      '\0',
      ' ',
      'null',
      '5',
    ),
    { maxLength: 6 },
  )
  .map((pieces) => pieces.join(''));
const hostileJson = fc.oneof(
  hostileText,
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.array(hostileText, { maxLength: 2 }),
);
const someCall = fc.oneof(
  fc.record({ name: fc.constant('bash'), arguments: fc.record({ command: hostileText }) }),
  fc.record({
    name: fc.constant('edit'),
    arguments: fc.record(
      { old_str: hostileText, file_text: hostileText, view_range: hostileJson, line: fc.integer() },
      { requiredKeys: [] },
    ),
  }),
  fc.record({
    name: fc.constantFrom('bash', 'unknown'),
    arguments: fc.dictionary(hostileText, hostileJson, { maxKeys: 2 }),
  }),
);
/** A reply and what came back. */
const exchange = fc
  .record({
    content: hostileText,
    reasoning: fc.option(hostileText, { nil: undefined }),
    calls: fc.array(someCall, { minLength: 1, maxLength: 3 }),
    answers: fc.array(hostileText, { minLength: 3, maxLength: 3 }),
    refused: fc.boolean(),
    failed: fc.boolean(),
  })
  .map(({ content, reasoning, calls, answers, refused, failed }): Turn[] => [
    {
      role: 'assistant',
      content,
      ...(reasoning !== undefined && { reasoning }),
      toolCalls: calls.map((made, index) => ({
        id: `id-${index}`,
        name: made.name,
        arguments: JSON.stringify(made.arguments),
      })),
      ...(refused && { malformed: true }),
    },
    ...calls.map((_call, index): Turn => ({
      role: 'tool',
      toolCallId: `id-${index}`,
      content: refused ? answers[0]! : answers[index]!,
      ...(failed && { failed: true }),
    })),
  ]);
/** Ends with a call; hostile pieces stand wherever a model, a tool or a repository could have put them. */
export const hostileTrajectory = fc
  .record({
    system: hostileText,
    task: hostileText,
    exchanges: fc.array(exchange, { maxLength: 4 }),
  })
  .map(({ system, task, exchanges }): Trajectory => ({
    rolloutId: 'r',
    turns: [
      { role: 'system', content: system },
      { role: 'user', content: task },
      ...exchanges.flat(),
      { role: 'assistant', content: '', toolCalls: [{ id: 'z', name: 'bash', arguments: '{}' }] },
    ],
    tools,
  }));
