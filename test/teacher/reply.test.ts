import { describe, expect, it } from 'vitest';
import { createAssembler, fromCompletion } from '../../teacher/raw-reply.ts';
import { isGivenUp, readReply, toFinishReason } from '../../teacher/reply.ts';

const call = (id: string | null | undefined, name: string, args: unknown) => ({
  id,
  type: 'function',
  function: { name, arguments: args },
});

function toMessage(message: Record<string, unknown>) {
  const raw = { message, finishReason: 'stop', usage: null, model: null, fingerprint: null };
  return readReply(raw, { step: 3 }).message;
}

interface Expected {
  content?: string;
  reasoning?: string;
  toolCalls?: { id: string; name: string; arguments: string }[];
}

describe('a whole message', () => {
  it.each<[string, Record<string, unknown>, Expected]>([
    ['text', { content: 'Hello.' }, { content: 'Hello.' }],
    ['no content at all', {}, {}],
    ['null content', { content: null }, {}],
    [
      'text parts',
      {
        content: [
          { type: 'text', text: 'a' },
          { type: 'output_text', text: 'b' },
        ],
      },
      { content: 'ab' },
    ],
    [
      'reasoning_content',
      { content: 'a', reasoning_content: 'r' },
      { content: 'a', reasoning: 'r' },
    ],
    ['reasoning', { content: 'a', reasoning: 'r' }, { content: 'a', reasoning: 'r' }],
    ['thinking', { content: 'a', thinking: 'r' }, { content: 'a', reasoning: 'r' }],
    ['reasoning_text', { content: 'a', reasoning_text: 'r' }, { content: 'a', reasoning: 'r' }],
    [
      'reasoning_details',
      {
        content: 'a',
        reasoning_details: [
          { type: 'reasoning.text', text: 'one ' },
          { type: 'reasoning.summary', summary: 'two' },
          { type: 'reasoning.encrypted', data: 'AAAA' },
        ],
      },
      { content: 'a', reasoning: 'one two' },
    ],
    [
      'thinking_blocks',
      { content: 'a', thinking_blocks: [{ type: 'thinking', thinking: 'r', signature: 's' }] },
      { content: 'a', reasoning: 'r' },
    ],
    [
      'the same reasoning under two names',
      { content: 'a', reasoning: 'r', reasoning_details: [{ text: 'r' }] },
      { content: 'a', reasoning: 'r' },
    ],
    [
      'thinking parts in the content',
      {
        content: [
          { type: 'thinking', thinking: [{ type: 'text', text: 'r' }] },
          { type: 'text', text: 'a' },
        ],
      },
      { content: 'a', reasoning: 'r' },
    ],
    [
      'reasoning parts in the content',
      {
        content: [
          { type: 'reasoning', text: 'r' },
          { type: 'text', text: 'a' },
        ],
      },
      { content: 'a', reasoning: 'r' },
    ],
    ['a think tag', { content: '<think>\nr\n</think>\n\na' }, { content: 'a', reasoning: 'r' }],
    [
      'a think tag after a line break',
      { content: '\n<think>r</think>a' },
      { content: 'a', reasoning: 'r' },
    ],
    ['a thinking tag', { content: '<thinking>r</thinking>a' }, { content: 'a', reasoning: 'r' }],
    ['a think tag without its end', { content: '<think>r and r' }, { reasoning: 'r and r' }],
    ['an empty think tag', { content: '<think>\n\n</think>\n\na' }, { content: 'a' }],
    [
      'a think tag that is talked about',
      { content: 'Use <think>x</think> here.' },
      { content: 'Use <think>x</think> here.' },
    ],
    [
      'a think tag beside a field',
      { content: '<think>t</think>a', reasoning_content: 'r' },
      { content: 'a', reasoning: 'r\n\nt' },
    ],
    [
      'the end of a think tag that the prompt opened',
      { content: 'r and r\n</think>\n\na' },
      { content: 'a', reasoning: 'r and r' },
    ],
    [
      'the end of a think tag that is talked about',
      { content: 'Use </think> here.\nSo.' },
      { content: 'Use </think> here.\nSo.' },
    ],
    [
      'several think tags at the start',
      { content: '<think></think>\n<think>r</think>a' },
      { content: 'a', reasoning: 'r' },
    ],
    ['a thought tag', { content: '<thought>r</thought>a' }, { content: 'a', reasoning: 'r' }],
    ['a reasoning tag', { content: '<reasoning>r</reasoning>a' }, { content: 'a', reasoning: 'r' }],
    ['a seed tag', { content: '<seed:think>r</seed:think>a' }, { content: 'a', reasoning: 'r' }],
    ['a tag in brackets', { content: '[THINK]r[/THINK]a' }, { content: 'a', reasoning: 'r' }],
    ['a tag of triangles', { content: '◁think▷r◁/think▷a' }, { content: 'a', reasoning: 'r' }],
    [
      'a tag of bars',
      { content: '<|begin_of_thought|>r<|end_of_thought|>a' },
      { content: 'a', reasoning: 'r' },
    ],
    ['thoughts', { content: 'a', thoughts: 'r' }, { content: 'a', reasoning: 'r' }],
    ['a summary', { content: 'a', cot_summary: 'r' }, { content: 'a', reasoning: 'r' }],
    [
      'a field that a gateway hands on',
      { content: 'a', provider_specific_fields: { reasoning_content: 'r' } },
      { content: 'a', reasoning: 'r' },
    ],
    [
      'parts marked as thought',
      {
        content: [
          { type: 'text', text: 'r', thought: true },
          { type: 'text', text: 'a' },
        ],
      },
      { content: 'a', reasoning: 'r' },
    ],
    [
      'a call without the function around it',
      { tool_calls: [{ id: 'x', name: 'bash', arguments: '{}' }] },
      { toolCalls: [{ id: 'x', name: 'bash', arguments: '{}' }] },
    ],
    ['a refusal', { content: null, refusal: 'I will not.' }, { content: 'I will not.' }],
    [
      'a call',
      { content: 'a', tool_calls: [call('x', 'bash', '{"command":"ls"}')] },
      { content: 'a', toolCalls: [{ id: 'x', name: 'bash', arguments: '{"command":"ls"}' }] },
    ],
    [
      'a call without content',
      { content: null, tool_calls: [call('x', 'submit', '{}')] },
      { toolCalls: [{ id: 'x', name: 'submit', arguments: '{}' }] },
    ],
    [
      'arguments as an object',
      { tool_calls: [call('x', 'bash', { command: 'ls' })] },
      { toolCalls: [{ id: 'x', name: 'bash', arguments: '{"command":"ls"}' }] },
    ],
    [
      'arguments that are missing',
      { tool_calls: [call('x', 'submit', undefined)] },
      { toolCalls: [{ id: 'x', name: 'submit', arguments: '' }] },
    ],
    [
      'arguments that are broken, as they are',
      { tool_calls: [call('x', 'bash', '{"command": "l')] },
      { toolCalls: [{ id: 'x', name: 'bash', arguments: '{"command": "l' }] },
    ],
    [
      'a missing id',
      { tool_calls: [call(null, 'bash', '{}')] },
      { toolCalls: [{ id: 'call_3_0', name: 'bash', arguments: '{}' }] },
    ],
    [
      'an empty id',
      { tool_calls: [call('', 'bash', '{}'), call('y', 'bash', '{}')] },
      {
        toolCalls: [
          { id: 'call_3_0', name: 'bash', arguments: '{}' },
          { id: 'y', name: 'bash', arguments: '{}' },
        ],
      },
    ],
    [
      'the same id twice',
      { tool_calls: [call('x', 'bash', '{}'), call('x', 'submit', '{}')] },
      {
        toolCalls: [
          { id: 'x', name: 'bash', arguments: '{}' },
          { id: 'call_3_1', name: 'submit', arguments: '{}' },
        ],
      },
    ],
    [
      'a call without a name',
      { tool_calls: [{ id: 'x' }] },
      { toolCalls: [{ id: 'x', name: '', arguments: '' }] },
    ],
    [
      'a legacy function call',
      { content: null, function_call: { name: 'bash', arguments: '{}' } },
      { toolCalls: [{ id: 'call_3_0', name: 'bash', arguments: '{}' }] },
    ],
    ['an empty list of calls', { content: 'a', tool_calls: [] }, { content: 'a' }],
    ['calls that are null', { content: 'a', tool_calls: null }, { content: 'a' }],
    ['another language', { content: '好的，我来看看。' }, { content: '好的，我来看看。' }],
  ])('with %s', (_, raw, expected) => {
    expect(toMessage(raw)).toEqual({ role: 'assistant', content: '', ...expected });
  });
});

function assemble(deltas: Record<string, unknown>[]) {
  const assembler = createAssembler();
  for (const delta of deltas) assembler.add({ choices: [{ index: 0, delta }] });
  return toMessage(assembler.reply()?.message ?? {});
}

const part = (index: unknown, id: unknown, name: unknown, args: unknown) => ({
  tool_calls: [{ index, id, function: { name, arguments: args } }],
});

describe('a streamed message', () => {
  it.each<[string, Record<string, unknown>[], Expected]>([
    ['text in pieces', [{ content: 'a' }, { content: null }, { content: 'b' }], { content: 'ab' }],
    [
      'a think tag in pieces',
      [{ content: '<th' }, { content: 'ink>r</thi' }, { content: 'nk>a' }],
      { content: 'a', reasoning: 'r' },
    ],
    [
      'reasoning in pieces, under two names',
      [
        { reasoning: 'r', reasoning_details: [{ text: 'r' }] },
        { reasoning: 's', reasoning_details: [{ text: 's' }] },
      ],
      { reasoning: 'rs' },
    ],
    [
      'reasoning details in pieces',
      [{ reasoning_details: [{ text: 'r' }] }, { reasoning_details: [{ text: 's' }] }],
      { reasoning: 'rs' },
    ],
    [
      'content parts in pieces',
      [
        { content: [{ type: 'thinking', thinking: 'r' }] },
        { content: [{ type: 'text', text: 'a' }] },
      ],
      { content: 'a', reasoning: 'r' },
    ],
    [
      'two calls by index, mixed',
      [
        part(0, 'x', 'bash', '{"a'),
        part(1, 'y', 'submit', ''),
        part(0, undefined, undefined, '":1}'),
        part(1, undefined, undefined, '{}'),
      ],
      {
        toolCalls: [
          { id: 'x', name: 'bash', arguments: '{"a":1}' },
          { id: 'y', name: 'submit', arguments: '{}' },
        ],
      },
    ],
    [
      'calls that all have index 0',
      [part(0, 'x', 'bash', '{}'), part(0, 'y', 'submit', '{}')],
      {
        toolCalls: [
          { id: 'x', name: 'bash', arguments: '{}' },
          { id: 'y', name: 'submit', arguments: '{}' },
        ],
      },
    ],
    [
      'calls without index',
      [
        part(undefined, 'x', 'bash', '{"a'),
        part(undefined, undefined, undefined, '":1}'),
        part(undefined, 'y', 'submit', '{}'),
      ],
      {
        toolCalls: [
          { id: 'x', name: 'bash', arguments: '{"a":1}' },
          { id: 'y', name: 'submit', arguments: '{}' },
        ],
      },
    ],
    [
      'a name that every piece repeats',
      [part(0, 'x', 'bash', '{'), part(0, 'x', 'bash', '}')],
      { toolCalls: [{ id: 'x', name: 'bash', arguments: '{}' }] },
    ],
    [
      'a name in pieces',
      [part(0, 'x', 'ba', ''), part(0, undefined, 'sh', '{}')],
      { toolCalls: [{ id: 'x', name: 'bash', arguments: '{}' }] },
    ],
    [
      'arguments as an object in one piece',
      [part(0, 'x', 'bash', ''), part(0, undefined, undefined, { command: 'ls' })],
      { toolCalls: [{ id: 'x', name: 'bash', arguments: '{"command":"ls"}' }] },
    ],
    [
      'a legacy function call',
      [{ function_call: { name: 'bash' } }, { function_call: { arguments: '{}' } }],
      { toolCalls: [{ id: 'call_3_0', name: 'bash', arguments: '{}' }] },
    ],
  ])('with %s', (_, deltas, expected) => {
    expect(assemble(deltas)).toEqual({ role: 'assistant', content: '', ...expected });
  });
});

it.each([
  ['stop', 'stop'],
  ['end_turn', 'stop'],
  ['tool_calls', 'tool_calls'],
  ['function_call', 'tool_calls'],
  ['length', 'length'],
  ['content_filter', 'content_filter'],
  [null, 'other'],
  ['eos_token', 'stop'],
  ['model_context_window_exceeded', 'length'],
  ['whatever', 'other'],
])('finish reason %s counts as %s', (said, expected) => {
  const raw = fromCompletion({ choices: [{ message: {}, finish_reason: said }] });
  expect(raw && toFinishReason(raw)).toBe(expected);
});

it.each([
  ['abort', true],
  ['error', true],
  ['insufficient_system_resource', true],
  ['stop', false],
  [null, false],
])('finish reason %s gives the reply up: %s', (said, expected) => {
  const raw = fromCompletion({ choices: [{ message: {}, finish_reason: said }] });
  expect(raw && isGivenUp(raw)).toBe(expected);
});

it('a refusal counts as filtered', () => {
  const raw = fromCompletion({ choices: [{ message: { refusal: 'no' }, finish_reason: 'stop' }] });
  expect(raw && toFinishReason(raw)).toBe('content_filter');
});
