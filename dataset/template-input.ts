/** What a chat template is given: by a row, and by a conversation that is about to be one. */

import type { Conversation } from './conversation.ts';
import { formatOf } from './formats/formats.ts';
import type { FormatName } from './formats/names.ts';
import type { Row } from './row.ts';
import type { TemplateInput } from './target.ts';
import type { Json, JsonObject } from './text.ts';

/** How rows hold their messages. */
export interface MessageForm {
  format: FormatName;
  argumentsAs: 'object' | 'string';
}

/** What trainers hand to the chat template: no key of ours, none that is null, tools where the row has them apart. */
export function toTemplateInput(row: Row, parseArguments: boolean): TemplateInput {
  const messages = (row['messages'] as JsonObject[]).map(({ train: _train, ...message }) => {
    const present = Object.entries(message).filter(([, value]) => value !== null);
    return Object.fromEntries(
      present.map(([key, value]) => [
        key,
        parseArguments && key === 'tool_calls' ? parseCalls(value as ToolCalls) : value,
      ]),
    );
  });
  const tools = row['tools'];
  return { messages, tools: typeof tools === 'string' ? (JSON.parse(tools) as Json[]) : [] };
}

/** As `toTemplateInput`, of the row that the format makes of a conversation. */
export function templateInputOf(
  conversation: Conversation,
  { format, argumentsAs }: MessageForm,
): TemplateInput {
  const trajectory = { rolloutId: '', turns: [], tools: [] };
  const origin = {
    instance_id: '',
    rollout: '',
    recall: { exact: null, sera: null },
    simulated: false,
    provenance: {},
  };
  const row = formatOf(format, argumentsAs).render({ conversation, trajectory, origin });
  return toTemplateInput(row, false);
}

// --- internal ---

type ToolCalls = (JsonObject & { function: { name: string; arguments: Json } })[];

function parseCalls(calls: ToolCalls): Json {
  return calls.map(({ function: { name, arguments: given }, ...call }) => ({
    ...call,
    function: { name, arguments: typeof given === 'string' ? (JSON.parse(given) as Json) : given },
  }));
}
