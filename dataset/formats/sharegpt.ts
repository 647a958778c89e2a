/** `sharegpt`: the form LLaMA-Factory reads natively, with `function_call` and `observation` turns. */

import { z } from 'zod';
import type { Call, Conversation, ConversationTurn } from '../conversation.ts';
import { ORIGIN_COLUMNS, originShape, type Row } from '../row.ts';
import { toSpacedJson } from '../text.ts';
import { readAs, readJson, RowError, toolsSchema, type Format } from './format.ts';
import { splitThoughts, withThoughts } from './turns.ts';

export const sharegpt: Format = {
  name: 'sharegpt',
  lossOf({ turns }) {
    if (turns.some((turn) => turn.role === 'assistant' && !turn.train)) return 'untrained-reply';
    return turns.some((turn, index) => turn.role === 'user' && turns[index - 1]?.role === 'tool')
      ? 'order'
      : undefined;
  },
  render: ({ conversation: { system, tools, turns }, origin }): Row => ({
    conversations: toEntries(turns),
    system,
    tools: JSON.stringify(tools),
    ...origin,
  }),
  parse(value) {
    const { conversations, system, tools, ...origin } = readAs(rowSchema, value);
    return {
      conversation: {
        system,
        tools: readJson(toolsSchema, tools, 'tools'),
        turns: fromEntries(conversations),
      },
      origin,
    };
  },
  columns: [
    {
      name: 'conversations',
      type: {
        list: {
          struct: [
            { name: 'from', type: 'string' },
            { name: 'value', type: 'string' },
          ],
        },
      },
    },
    { name: 'system', type: 'string' },
    { name: 'tools', type: 'string' },
    ...ORIGIN_COLUMNS,
  ],
};

// --- internal ---

const entrySchema = z.strictObject({
  from: z.enum(['human', 'gpt', 'function_call', 'observation']),
  value: z.string(),
});
type Entry = z.infer<typeof entrySchema>;

const rowSchema = z.strictObject({
  conversations: z.array(entrySchema).min(2),
  system: z.string(),
  tools: z.string(),
  ...originShape,
});

/** Stands between answers to the calls of one turn, as LLaMA-Factory joins them itself: its template adds the outer tags. */
const BETWEEN_ANSWERS = '\n</tool_response>\n<tool_response>\n';

function toEntries(turns: ConversationTurn[]): Entry[] {
  const entries: Entry[] = [];
  for (const turn of turns) {
    const last = entries.at(-1);
    if (turn.role === 'user') entries.push({ from: 'human', value: turn.content });
    else if (turn.role === 'assistant') {
      const from = turn.calls.length > 0 ? 'function_call' : 'gpt';
      const text = [turn.text, ...renderCalls(turn.calls)].filter((part) => part !== '');
      entries.push({ from, value: withThoughts(turn.reasoning, text.join('\n')) });
    } else if (last?.from === 'observation') last.value += BETWEEN_ANSWERS + turn.content;
    else entries.push({ from: 'observation', value: turn.content });
  }
  return entries;
}

/** One object, or a list where there are several: the form takes one block of calls. */
function renderCalls(calls: Call[]): string[] {
  const [first, ...others] = calls.map(({ name, arguments: values }) =>
    toSpacedJson({ name, arguments: values }),
  );
  if (first === undefined) return [];
  const json = others.length === 0 ? first : `[${[first, ...others].join(', ')}]`;
  return [`<tool_call>\n${json}\n</tool_call>`];
}

const callSchema = z.strictObject({ name: z.string(), arguments: z.record(z.string(), z.json()) });
const callsSchema = z.union([callSchema.transform((call) => [call]), z.array(callSchema).min(2)]);

function fromEntries(entries: Entry[]): Conversation['turns'] {
  return entries.flatMap(({ from, value }, index): ConversationTurn[] => {
    const place = `conversation ${index + 1}`;
    const isReply = from === 'gpt' || from === 'function_call';
    if (isReply !== (index % 2 === 1)) throw new RowError(`${place} is from ${from}, out of turn`);
    if (from === 'human') return [{ role: 'user', content: value }];
    if (from === 'observation') {
      return value.split(BETWEEN_ANSWERS).map((content) => ({ role: 'tool', content }));
    }
    const { reasoning, rest } = splitThoughts(value);
    const found = /(?:^|\n)<tool_call>\n([^\n]*)\n<\/tool_call>$/.exec(rest);
    if ((from === 'function_call') !== (found !== null))
      throw new RowError(`${place} is from ${from}, and what it says is another`);
    const calls = found ? readJson(callsSchema, found[1]!, `the call of ${place}`) : [];
    const text = found ? rest.slice(0, found.index) : rest;
    return [{ role: 'assistant', reasoning, text, calls, train: true }];
  });
}
