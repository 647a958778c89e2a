/** `raw`: the messages as they went over the API, refused calls and the ids of calls included, for conversions of one's own. */

import { z } from 'zod';
import type { Trajectory, Turn } from '../../domain/trajectory.ts';
import type { Column } from '../columns.ts';
import { toConversation, type Conversation } from '../conversation.ts';
import { ORIGIN_COLUMNS, originShape, type Row } from '../row.ts';
import { cleanText, defuseTags, defuseTokens, type Json } from '../text.ts';
import { readAs, readJson, RowError, toolsSchema, type Format } from './format.ts';

const COLUMNS: Column[] = [
  {
    name: 'messages',
    type: {
      list: {
        struct: [
          { name: 'role', type: 'string' },
          { name: 'content', type: 'string' },
          { name: 'reasoning', type: 'string' },
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
                        { name: 'arguments', type: 'string' },
                      ],
                    },
                  },
                ],
              },
            },
          },
          { name: 'tool_call_id', type: 'string' },
          { name: 'refused', type: 'boolean' },
          { name: 'train', type: 'boolean' },
        ],
      },
    },
  },
  { name: 'tools', type: 'string' },
  ...ORIGIN_COLUMNS,
];

export const raw: Format = {
  name: 'raw',
  lossOf: () => undefined,
  render: ({ conversation, trajectory, origin }): Row => ({
    messages: toMessages(trajectory, conversation),
    tools: JSON.stringify(conversation.tools),
    ...origin,
  }),
  parse(value) {
    const { messages, tools, ...origin } = readAs(rowSchema, value);
    const trajectory = {
      turns: messages.map(toTurn),
      tools: readJson(toolsSchema, tools, 'tools'),
    };
    const read = toConversation(trajectory);
    if ('lost' in read) throw new RowError(`is no conversation to train on: ${read.lost}`);
    const trained = messages.filter(({ role }) => role === 'assistant').map(({ train }) => train);
    const replies = read.conversation.turns.filter((turn) => turn.role === 'assistant');
    replies.forEach((reply, index) => (reply.train &&= trained[index] === true));
    return { conversation: read.conversation, origin };
  },
  columns: COLUMNS,
};

// --- internal ---

const messageSchema = z.strictObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string(),
  reasoning: z.string().optional(),
  tool_calls: z
    .array(
      z.strictObject({
        id: z.string(),
        type: z.literal('function'),
        function: z.strictObject({ name: z.string(), arguments: z.string() }),
      }),
    )
    .optional(),
  tool_call_id: z.string().optional(),
  /** The turn's calls were refused, and none was executed. */
  refused: z.boolean(),
  train: z.boolean(),
});
type Message = z.infer<typeof messageSchema>;

const rowSchema = z.strictObject({
  messages: z.array(messageSchema).min(3),
  tools: z.string(),
  ...originShape,
});

/** Up to the last reply, as the conversation is; its replies are those of the trajectory, in order. */
function toMessages({ turns }: Trajectory, conversation: Conversation): Json[] {
  const replies = conversation.turns.filter((turn) => turn.role === 'assistant');
  const last = turns.findLastIndex(({ role }) => role === 'assistant');
  let reply = 0;
  return turns.slice(0, last + 1).map((turn): Json => {
    if (turn.role !== 'assistant') {
      return {
        role: turn.role,
        content: harmless(turn.content),
        ...(turn.role === 'tool' && { tool_call_id: cleanText(turn.toolCallId) }),
        refused: false,
        train: false,
      };
    }
    const train = replies[reply]?.train === true;
    reply += 1;
    return toReply(turn, train);
  });
}

function toReply(turn: Extract<Turn, { role: 'assistant' }>, train: boolean): Json {
  const refused = turn.malformed === true;
  // What is trained on holds no token; what was refused may, and nobody learns from it.
  const text = refused ? harmless : cleanText;
  const calls = turn.toolCalls ?? [];
  return {
    role: 'assistant',
    content: text(turn.content),
    ...((turn.reasoning ?? '') !== '' && { reasoning: text(turn.reasoning ?? '') }),
    ...(calls.length > 0 && {
      tool_calls: calls.map((call) => ({
        id: cleanText(call.id),
        type: 'function',
        function: { name: text(call.name), arguments: text(call.arguments) },
      })),
    }),
    refused,
    train,
  };
}

/** Nothing changes here where tokens cost the row: then there are none. */
function harmless(text: string): string {
  return defuseTags(defuseTokens(cleanText(text)));
}

function toTurn(message: Message, index: number): Turn {
  const { role, content, reasoning, tool_calls = [], refused } = message;
  if (role === 'tool') return { role, content, toolCallId: message.tool_call_id ?? '' };
  if (role !== 'assistant') return { role, content };
  if (refused && message.train) throw new RowError(`message ${index + 1} trains on a refused call`);
  return {
    role,
    content,
    ...(reasoning !== undefined && { reasoning }),
    ...(tool_calls.length > 0 && {
      toolCalls: tool_calls.map(({ id, function: call }) => ({ id, ...call })),
    }),
    ...(refused && { malformed: true }),
  };
}
