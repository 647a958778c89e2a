/** `xml`: calls as SWE-agent's tags inside plain messages, for its parsers and for ChatML templates. */

import { z } from 'zod';
import type { Call, Conversation, Reply } from '../conversation.ts';
import { isJsonObject, toSpacedJson, type Json } from '../text.ts';
import { readAs, readJson, toolsSchema, type Format, type FormatLoss } from './format.ts';
import { FLAT_COLUMNS, flatRowSchema, withoutTools, withTools } from './hermes.ts';
import { fromMessages, splitThoughts, toMessages, withThoughts, type Manner } from './turns.ts';

export const xml: Format = {
  name: 'xml',
  lossOf({ tools, turns }) {
    const types = typesOf(tools);
    for (const [index, turn] of turns.entries()) {
      const loss =
        turn.role === 'assistant' ? lossOfReply(turn, types) : lossOfAnswer(turns, index);
      if (loss !== undefined) return loss;
    }
    return undefined;
  },
  render: ({ conversation: { system, tools, turns }, origin }) => ({
    messages: [
      { role: 'system', content: withTools(system, renderTools(tools)), train: false },
      ...toMessages(turns, mannerOf(typesOf(tools))),
    ],
    tool_json: JSON.stringify(tools),
    ...origin,
  }),
  parse(value) {
    const { messages, tool_json, ...origin } = readAs(flatRowSchema, value);
    const tools = readJson(toolsSchema, tool_json, 'tool_json');
    const [first, ...rest] = messages;
    const system = withoutTools(first!, renderTools(tools));
    const turns = fromMessages(rest, mannerOf(typesOf(tools)));
    return { conversation: { system, tools, turns }, origin };
  },
  columns: FLAT_COLUMNS,
};

// --- internal ---

/** By tool and parameter: true where the value is a text and stands as it is; every other one stands as JSON. */
type Types = Map<string, Map<string, boolean>>;

const OWN_TAG = /<\/?(?:function|parameter)[=>]/;
const NAME = /^[\w.-]+$/;
/** Texts of several lines, which begin on a line of their own. */
const LONG = new Set(['old_str', 'new_str', 'file_text']);
const ANSWER = 'OBSERVATION:\n';

const toolSchema = z.object({
  function: z.object({
    name: z.string(),
    parameters: z.object({ properties: z.record(z.string(), z.json()) }),
  }),
});

function typesOf(tools: Json[]): Types {
  const types: Types = new Map();
  for (const tool of tools) {
    const read = toolSchema.safeParse(tool);
    if (!read.success) continue;
    const { name, parameters } = read.data.function;
    const entries = Object.entries(parameters.properties).map(
      ([key, schema]) => [key, isJsonObject(schema) && schema['type'] === 'string'] as const,
    );
    types.set(name, new Map(entries));
  }
  return types;
}

function lossOfReply({ reasoning, text, calls }: Reply, types: Types): FormatLoss | undefined {
  if (OWN_TAG.test(reasoning) || OWN_TAG.test(text)) return 'chat-tokens';
  for (const { name, arguments: values } of calls) {
    const parameters = types.get(name);
    if (!parameters || !NAME.test(name)) return 'untyped-argument';
    for (const [key, value] of Object.entries(values)) {
      const isText = parameters.get(key);
      if (isText === undefined || !NAME.test(key)) return 'untyped-argument';
      if (isText && typeof value !== 'string') return 'untyped-argument';
      if (OWN_TAG.test(renderValue(value, isText))) return 'chat-tokens';
    }
  }
  return undefined;
}

/** Several answers in one message must not look like more of them, and no other text follows. */
function lossOfAnswer(turns: Conversation['turns'], index: number): FormatLoss | undefined {
  const turn = turns[index]!;
  const [before, after] = [turns[index - 1]?.role, turns[index + 1]?.role];
  if (turn.role === 'user') return before === 'tool' ? 'order' : undefined;
  const isOneOfSeveral = before === 'tool' || after === 'tool';
  return isOneOfSeveral && turn.role === 'tool' && turn.content.includes(ANSWER)
    ? 'chat-tokens'
    : undefined;
}

function mannerOf(types: Types): Manner {
  const manner: Manner = {
    reply({ reasoning, text, calls }) {
      const blocks = calls.map((call) => renderCall(call, types)).join('\n');
      return withThoughts(reasoning, [text, blocks].filter((part) => part !== '').join('\n\n'));
    },
    answer: (content) => ANSWER + content,
    readReply(content) {
      const { reasoning, rest } = splitThoughts(content);
      const start = rest.search(/^<function=/m);
      const calls = start === -1 ? [] : readCalls(rest.slice(start), types);
      if (!calls) return undefined;
      const text = start === -1 ? rest : rest.slice(0, start).replace(/\n\n$/, '');
      const reply = { reasoning, text, calls };
      return manner.reply(reply) === content ? reply : undefined;
    },
    readAnswers(content, calls) {
      if (!content.startsWith(ANSWER)) return undefined;
      if (calls === 1) return { answers: [content.slice(ANSWER.length)], rest: '' };
      const answers = content.slice(ANSWER.length).split(`\n${ANSWER}`);
      return answers.length === calls ? { answers, rest: '' } : undefined;
    },
  };
  return manner;
}

function renderCall({ name, arguments: values }: Call, types: Types): string {
  const parameters = Object.entries(values).map(([key, value]) => {
    const text = renderValue(value, types.get(name)?.get(key) === true);
    return `<parameter=${key}>${LONG.has(key) ? `\n${text}\n` : text}</parameter>\n`;
  });
  return `<function=${name}>\n${parameters.join('')}</function>`;
}

function renderValue(value: Json, isText: boolean): string {
  return isText && typeof value === 'string' ? value : toSpacedJson(value);
}

function readCalls(text: string, types: Types): Call[] | undefined {
  const calls: Call[] = [];
  for (const [, name = '', body = ''] of text.matchAll(
    /<function=([^>]*)>\n([^]*?)<\/function>/g,
  )) {
    const values: [string, Json][] = [];
    for (const [, key = '', inner = ''] of body.matchAll(
      /<parameter=([^>]*)>([^]*?)<\/parameter>\n/g,
    )) {
      const raw = LONG.has(key) ? inner.slice(1, -1) : inner;
      try {
        const isText = types.get(name)?.get(key) === true;
        values.push([key, isText ? raw : (JSON.parse(raw) as Json)]);
      } catch {
        return undefined;
      }
    }
    calls.push({ name, arguments: Object.fromEntries(values) });
  }
  return calls;
}

const TOOLS_INTRODUCTION = `# Tools

These functions are at your disposal, one JSON description a line:`;

const TOOLS_INSTRUCTION = `
To use one, write its name and its arguments in this form, one function block per call:
<function=the function's name>
<parameter=the parameter's name>its value</parameter>
</function>
What it returns is given to you after the word OBSERVATION.`;

function renderTools(tools: Json[]): string {
  if (tools.length === 0) return '';
  return [TOOLS_INTRODUCTION, ...tools.map(toSpacedJson), TOOLS_INSTRUCTION].join('\n');
}
