/** From a raw reply to an assistant message: text, reasoning and tool calls, each in its own place. */

import type { Completion } from '../domain/ports.ts';
import type { AssistantMessage, ToolCall } from '../domain/trajectory.ts';
import { asList, asRecord, asText } from './json.ts';
import { type RawReply, toArgumentText } from './raw-reply.ts';

/** The message of a reply. `step` makes ids for calls that came without one. */
export function toMessage(raw: RawReply['message'], step: number): AssistantMessage {
  const parts = splitContent(raw['content']);
  const thought = splitThinkTag(parts.text);
  const reasoning = [reasoningOf(raw) || parts.reasoning, thought.reasoning]
    .filter((text) => text !== '')
    .join('\n\n');
  const toolCalls = toToolCalls(raw, step);
  return {
    role: 'assistant',
    content: thought.text === '' ? asText(raw['refusal']) : thought.text,
    ...(reasoning !== '' && { reasoning }),
    ...(toolCalls.length > 0 && { toolCalls }),
  };
}

/** Why the reply ended, in our words; a refusal counts as filtered whatever the endpoint calls it. */
export function toFinishReason(raw: RawReply): Completion['finishReason'] {
  if (asText(raw.message['refusal']) !== '') return 'content_filter';
  switch (raw.finishReason) {
    case 'stop':
    case 'eos':
    case 'end_turn':
      return 'stop';
    case 'tool_calls':
    case 'function_call':
    case 'tool_use':
      return 'tool_calls';
    case 'length':
    case 'max_tokens':
      return 'length';
    case 'content_filter':
    case 'sensitive':
      return 'content_filter';
    default:
      return 'other';
  }
}

/** Endpoints repeat the same reasoning under several names, so the first name that has any counts. */
function reasoningOf(raw: Record<string, unknown>): string {
  for (const name of ['reasoning_content', 'reasoning', 'thinking', 'reasoning_text']) {
    const text = textOf(raw[name]);
    if (text !== '') return text;
  }
  for (const name of ['reasoning_details', 'thinking_blocks']) {
    const text = asList(raw[name]).map(textOf).join('');
    if (text !== '') return text;
  }
  return '';
}

/** Content is a text, or a list of parts of which some are reasoning. */
function splitContent(content: unknown): { text: string; reasoning: string } {
  if (!Array.isArray(content)) return { text: textOf(content), reasoning: '' };
  const isReasoning = (part: unknown) => /think|reason/.test(asText(asRecord(part)['type']));
  return {
    text: content
      .filter((p) => !isReasoning(p))
      .map(textOf)
      .join(''),
    reasoning: content.filter(isReasoning).map(textOf).join(''),
  };
}

/** The text of a part, whatever its kind calls it; parts may hold parts. Encrypted and redacted ones have none. */
function textOf(part: unknown): string {
  if (typeof part === 'string') return part;
  if (Array.isArray(part)) return part.map(textOf).join('');
  if (part === null || typeof part !== 'object') return '';
  const record = part as Record<string, unknown>;
  for (const name of ['text', 'thinking', 'reasoning', 'summary', 'content']) {
    const text = textOf(record[name]);
    if (text !== '') return text;
  }
  return '';
}

/** Only at the start of the content is the tag reasoning; elsewhere a model is talking about it. Without its end all of it is. */
function splitThinkTag(content: string): { text: string; reasoning: string } {
  const opening = /^\s*<(think|thinking)>/.exec(content);
  if (opening === null) return { text: content, reasoning: '' };
  const inside = content.slice(opening[0].length);
  const closing = `</${opening[1]}>`;
  const end = inside.indexOf(closing);
  if (end === -1) return { text: '', reasoning: inside.trim() };
  return {
    text: inside.slice(end + closing.length).trimStart(),
    reasoning: inside.slice(0, end).trim(),
  };
}

function toToolCalls(raw: Record<string, unknown>, step: number): ToolCall[] {
  const listed = asList(raw['tool_calls']);
  const legacy = asRecord(raw['function_call']);
  const calls = listed.length > 0 || legacy['name'] === undefined ? listed : [{ function: legacy }];
  return withUniqueIds(
    calls.map((value) => {
      const call = asRecord(value);
      const named = asRecord(call['function']);
      return {
        id: asText(call['id']),
        name: asText(named['name']),
        arguments: toArgumentText(named['arguments']),
      };
    }),
    step,
  );
}

/** Rule "ids": a missing or repeated id becomes `call_<step>_<place>`; results could not be matched to calls otherwise. */
function withUniqueIds(calls: ToolCall[], step: number): ToolCall[] {
  const seen = new Set<string>();
  return calls.map((call, place) => {
    const id = call.id === '' || seen.has(call.id) ? `call_${step}_${place}` : call.id;
    seen.add(id);
    return { ...call, id };
  });
}
