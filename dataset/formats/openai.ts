/** `openai`: structured messages, for trainers whose chat template knows tools. */

import { z } from 'zod';
import type { Column } from '../columns.ts';
import type { Call, ConversationTurn } from '../conversation.ts';
import { ORIGIN_COLUMNS, originShape, type Row } from '../row.ts';
import { isJsonObject, parseJsonObject, type Json } from '../text.ts';
import { readAs, readJson, RowError, toolsSchema, type Format } from './format.ts';

/** `arguments` as an object, which most templates want, or as the JSON text of the API, which some trainers want. */
export function openaiFormat(argumentsAs: 'object' | 'string'): Format {
  return {
    name: 'openai',
    lossOf: () => undefined,
    render: ({ conversation: { system, tools, turns }, origin }): Row => ({
      messages: [
        { role: 'system', content: system, train: false },
        ...toMessages(turns, argumentsAs),
      ],
      // A text: as objects, readers would unify the parameters of all tools and fill them with nulls.
      tools: JSON.stringify(tools),
      ...origin,
    }),
    parse(value) {
      const { messages, tools, ...origin } = readAs(rowSchema, value);
      const [first, ...rest] = messages;
      if (first?.role !== 'system') throw new RowError('message 1 is not of role system');
      return {
        conversation: {
          system: first.content,
          tools: readJson(toolsSchema, tools, 'tools'),
          turns: rest.map((message, index) => toTurn(message, `message ${index + 2}`)),
        },
        origin,
      };
    },
    columns: COLUMNS,
  };
}

/** The calls of a message; ids count the calls of a conversation. */
export function toToolCalls(calls: Call[], before: number, argumentsAs: 'object' | 'string') {
  return calls.map((call, index) => ({
    id: `call_${before + index + 1}`,
    type: 'function',
    function: {
      name: call.name,
      arguments: argumentsAs === 'string' ? JSON.stringify(call.arguments) : call.arguments,
    },
  }));
}

// --- internal ---

const messageSchema = z.strictObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  /** Never null: some templates print that as a word. */
  content: z.string(),
  reasoning_content: z.string().optional(),
  tool_calls: z
    .array(
      z.strictObject({
        id: z.string(),
        type: z.literal('function'),
        function: z.strictObject({
          name: z.string(),
          arguments: z.union([z.string(), z.record(z.string(), z.json())]),
        }),
      }),
    )
    .optional(),
  tool_call_id: z.string().optional(),
  train: z.boolean(),
});
type Message = z.infer<typeof messageSchema>;

const rowSchema = z.strictObject({
  messages: z.array(messageSchema).min(3),
  tools: z.string(),
  ...originShape,
});

const COLUMNS: Column[] = [
  {
    name: 'messages',
    type: {
      list: {
        struct: [
          { name: 'role', type: 'string' },
          { name: 'content', type: 'string' },
          { name: 'reasoning_content', type: 'string' },
          {
            name: 'tool_calls',
            type: {
              list: {
                struct: [
                  { name: 'id', type: 'string' },
                  { name: 'type', type: 'string' },
                  {
                    name: 'function',
                    type: {
                      struct: [
                        { name: 'name', type: 'string' },
                        { name: 'arguments', type: 'json' },
                      ],
                    },
                  },
                ],
              },
            },
          },
          { name: 'tool_call_id', type: 'string' },
          { name: 'train', type: 'boolean' },
        ],
      },
    },
  },
  { name: 'tools', type: 'string' },
  ...ORIGIN_COLUMNS,
];

function toMessages(turns: ConversationTurn[], argumentsAs: 'object' | 'string'): Json[] {
  let calls = 0;
  let answered = 0;
  return turns.map((turn): Json => {
    if (turn.role === 'user') return { role: 'user', content: turn.content, train: false };
    if (turn.role === 'tool') {
      answered += 1;
      return {
        role: 'tool',
        content: turn.content,
        tool_call_id: `call_${answered}`,
        train: false,
      };
    }
    const message = {
      role: 'assistant',
      content: turn.text,
      ...(turn.reasoning !== '' && { reasoning_content: turn.reasoning }),
      ...(turn.calls.length > 0 && { tool_calls: toToolCalls(turn.calls, calls, argumentsAs) }),
      train: turn.train,
    };
    calls += turn.calls.length;
    return message;
  });
}

function toTurn(message: Message, place: string): ConversationTurn {
  const { role, content, reasoning_content: reasoning = '', tool_calls = [], train } = message;
  if (role === 'system') throw new RowError(`${place} is of role system`);
  if (role !== 'assistant') {
    if (train) throw new RowError(`${place} trains on role ${role}`);
    return { role, content };
  }
  const calls = tool_calls.map(({ function: { name, arguments: given } }) => {
    const values = isJsonObject(given) ? given : parseJsonObject(given);
    if (!values) throw new RowError(`${place} holds a tool call that cannot be read back`);
    return { name, arguments: values };
  });
  return { role, reasoning, text: content, calls, train };
}
