/** `hermes`: thoughts, tool calls and tool responses as tags inside plain messages; axolotl, TRL, Unsloth and LLaMA-Factory train it alike. */

import { z } from 'zod';
import type { Call, Conversation } from '../conversation.ts';
import { ORIGIN_COLUMNS, originShape } from '../row.ts';
import { isJsonObject, toSpacedJson, type Json } from '../text.ts';
import { readAs, readJson, RowError, toolsSchema, type Format } from './format.ts';
import {
  fromMessages,
  splitThoughts,
  toMessages,
  withThoughts,
  type FlatMessage,
  type Manner,
} from './turns.ts';

const messageSchema: z.ZodType<FlatMessage> = z.strictObject({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string(),
  train: z.boolean(),
});

/** A row of a flat format. The tool list is not named `tools`, because trainers would add a second tool prompt for that. */
export const flatRowSchema = z.strictObject({
  messages: z.array(messageSchema).min(3),
  tool_json: z.string(),
  ...originShape,
});

export const FLAT_COLUMNS: Format['columns'] = [
  {
    name: 'messages',
    type: {
      list: {
        struct: [
          { name: 'role', type: 'string' },
          { name: 'content', type: 'string' },
          { name: 'train', type: 'boolean' },
        ],
      },
    },
  },
  { name: 'tool_json', type: 'string' },
  ...ORIGIN_COLUMNS,
];

export const hermes: Format = {
  name: 'hermes',
  lossOf: () => undefined,
  render: ({ conversation, origin }) => ({
    messages: toHermesMessages(conversation),
    tool_json: JSON.stringify(conversation.tools),
    ...origin,
  }),
  parse(value) {
    const { messages, tool_json, ...origin } = readAs(flatRowSchema, value);
    const tools = readJson(toolsSchema, tool_json, 'tool_json');
    const [first, ...rest] = messages;
    const system = withoutTools(first!, renderTools(tools));
    return { conversation: { system, tools, turns: fromMessages(rest, MANNER) }, origin };
  },
  columns: FLAT_COLUMNS,
};

/** The messages of a row. */
export function toHermesMessages({ system, tools, turns }: Conversation): FlatMessage[] {
  const prompt = withTools(system, renderTools(tools));
  return [{ role: 'system', content: prompt, train: false }, ...toMessages(turns, MANNER)];
}

/** The system message of a flat row: the prompt the teacher had, then the tools and how to call them. */
export function withTools(system: string, tools: string): string {
  return [system, tools].filter((part) => part !== '').join('\n\n');
}

/** What `withTools` was given first. Throws RowError. */
export function withoutTools({ role, content }: FlatMessage, tools: string): string {
  if (role !== 'system') throw new RowError(`message 1 is of role ${role}, not system`);
  if (tools === '') return content;
  if (content === tools) return '';
  if (content.endsWith(`\n\n${tools}`)) return content.slice(0, -tools.length - 2);
  throw new RowError('message 1 does not end with the tools of tool_json');
}

/** How a Hermes template shows what a tool returned. */
export function renderResponse(content: string): string {
  return `<tool_response>\n${content}\n</tool_response>`;
}

/** The responses at the start of a text, as `renderResponse` made them, with line breaks between. */
export function readResponses(content: string, count: number) {
  const answers: string[] = [];
  let rest = content;
  for (let index = 0; index < count; index += 1) {
    const found = /^<tool_response>\n([^]*?)\n<\/tool_response>/.exec(rest);
    if (!found) return undefined;
    answers.push(found[1]!);
    rest = rest.slice(found[0].length);
    if (index < count - 1 && rest.startsWith('\n')) rest = rest.slice(1);
  }
  return rest === '' || rest.startsWith('\n') ? { answers, rest } : undefined;
}

// --- internal ---

const MANNER: Manner = {
  reply: ({ reasoning, text, calls }) =>
    withThoughts(
      reasoning,
      [text, ...calls.map(renderCall)].filter((part) => part !== '').join('\n'),
    ),
  answer: renderResponse,
  readReply(content) {
    const { reasoning, rest } = splitThoughts(content);
    const lines = rest.split('\n');
    const text: string[] = [];
    const calls: Call[] = [];
    for (let index = 0; index < lines.length; index += 1) {
      const line = lines[index]!;
      if (line !== '<tool_call>') {
        if (calls.length > 0) return undefined;
        text.push(line);
        continue;
      }
      const call = readCall(lines[index + 1] ?? '');
      if (!call || lines[index + 2] !== '</tool_call>') return undefined;
      calls.push(call);
      index += 2;
    }
    const reply = { reasoning, text: text.join('\n'), calls };
    return MANNER.reply(reply) === content ? reply : undefined;
  },
  readAnswers: readResponses,
};

const TOOLS_INTRODUCTION = `# Tools

These functions are at your disposal. Each line between <tools> and </tools> describes one of them in JSON:
<tools>`;

const TOOLS_INSTRUCTION = `</tools>

To use one, write a JSON object with its name and its arguments between call tags, one object per call:
<tool_call>
{"name": "the function's name", "arguments": {"the parameter's name": "its value"}}
</tool_call>
What it returns is given to you between <tool_response> and </tool_response>.`;

function renderTools(tools: Json[]): string {
  if (tools.length === 0) return '';
  return [TOOLS_INTRODUCTION, ...tools.map(toSpacedJson), TOOLS_INSTRUCTION].join('\n');
}

function renderCall(call: Call): string {
  return `<tool_call>\n${toSpacedJson({ name: call.name, arguments: call.arguments })}\n</tool_call>`;
}

function readCall(line: string): Call | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isJsonObject(value) || Object.keys(value).join() !== 'name,arguments') return undefined;
  const { name, arguments: callArguments } = value;
  return typeof name === 'string' && isJsonObject(callArguments)
    ? { name, arguments: callArguments }
    : undefined;
}
