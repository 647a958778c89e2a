/** The scripted teacher's side of the chat API: what it reads of a request, and how it writes a reply. */

import { createHash } from 'node:crypto';
import { asList, asRecord, asText } from '../json.ts';

/** Stands in every reply of the scripted teacher, so that whatever comes of it is known as simulated. */
export const SCRIPTED_FINGERPRINT = 'twinpatch-scripted';

export interface ScriptedMessage {
  role: string;
  content: string;
  hasCalls: boolean;
}

export interface ScriptedRequest {
  model: string;
  isStreamed: boolean;
  hasTools: boolean;
  messages: ScriptedMessage[];
}

export interface ScriptedCall {
  name: string;
  /** JSON text; broken on purpose for some policies. */
  arguments: string;
}

export interface ScriptedReply {
  content: string;
  reasoning?: string;
  calls: ScriptedCall[];
}

/** What matters of a chat request; undefined when it has no messages. */
export function parseRequest(body: unknown): ScriptedRequest | undefined {
  const request = asRecord(body);
  const messages = asList(request['messages']).map((item) => {
    const message = asRecord(item);
    return {
      role: asText(message['role']),
      content: toText(message['content']),
      hasCalls: asList(message['tool_calls']).length > 0,
    };
  });
  if (messages.length === 0) return undefined;
  return {
    model: asText(request['model']) || 'scripted',
    isStreamed: request['stream'] === true,
    hasTools: asList(request['tools']).length > 0,
    messages,
  };
}

function toText(content: unknown): string {
  if (!Array.isArray(content)) return asText(content);
  return content.map((part) => asText(asRecord(part)['text'])).join('');
}

/** A plain completion. */
export function toCompletionBody(request: ScriptedRequest, reply: ScriptedReply): object {
  return {
    ...envelope(request, 'chat.completion'),
    choices: [
      { index: 0, message: toWireMessage(request, reply), finish_reason: finishReason(reply) },
    ],
    usage: usageOf(request, reply),
  };
}

/** The same completion as chunks: role, reasoning, text in pieces, each call in two pieces, the end, the usage. */
export function toChunks(request: ScriptedRequest, reply: ScriptedReply): object[] {
  const shell = envelope(request, 'chat.completion.chunk');
  const message = toWireMessage(request, reply);
  const chunk = (delta: object, reason: string | null = null) => ({
    ...shell,
    choices: [{ index: 0, delta, finish_reason: reason }],
  });
  return [
    chunk({ role: 'assistant', content: '' }),
    ...(reply.reasoning === undefined ? [] : [chunk({ reasoning_content: reply.reasoning })]),
    ...pieces(reply.content).map((content) => chunk({ content })),
    ...(message.tool_calls ?? []).flatMap(({ id, type, function: called }, index) => [
      chunk({ tool_calls: [{ index, id, type, function: { name: called.name, arguments: '' } }] }),
      ...pieces(called.arguments).map((part) =>
        chunk({ tool_calls: [{ index, function: { arguments: part } }] }),
      ),
    ]),
    chunk({}, finishReason(reply)),
    { ...shell, choices: [], usage: usageOf(request, reply) },
  ];
}

function envelope(request: ScriptedRequest, object: string) {
  return {
    id: `scripted-${request.messages.length}`,
    object,
    created: 0,
    model: request.model,
    system_fingerprint: SCRIPTED_FINGERPRINT,
  };
}

function toWireMessage(request: ScriptedRequest, reply: ScriptedReply) {
  const turn = request.messages.filter(({ role }) => role === 'assistant').length + 1;
  return {
    role: 'assistant',
    content: reply.content,
    ...(reply.reasoning !== undefined && { reasoning_content: reply.reasoning }),
    ...(reply.calls.length > 0 && {
      tool_calls: reply.calls.map((call, place) => ({
        id: `call_${turn}_${place}`,
        type: 'function',
        function: call,
      })),
    }),
  };
}

function finishReason(reply: ScriptedReply): string {
  return reply.calls.length > 0 ? 'tool_calls' : 'stop';
}

const PIECE_CHARS = 400;

function pieces(text: string): string[] {
  const result: string[] = [];
  for (let at = 0; at < text.length; at += PIECE_CHARS) {
    result.push(text.slice(at, at + PIECE_CHARS));
  }
  return result;
}

const CHARS_PER_TOKEN = 4;
/** Real endpoints cache whole blocks. */
const CACHE_BLOCK = 64;

/** Everything up to the last turn of the assistant counts as cached: it was in the request before. */
function usageOf({ messages }: ScriptedRequest, reply: ScriptedReply) {
  const lastTurn = messages.findLastIndex(({ role }) => role === 'assistant');
  const prompt = tokensOf(messages);
  const known = lastTurn === -1 ? 0 : tokensOf(messages.slice(0, lastTurn));
  const reasoning = Math.ceil((reply.reasoning?.length ?? 0) / CHARS_PER_TOKEN);
  const written =
    reply.content.length +
    reply.calls.reduce((sum, call) => sum + call.name.length + call.arguments.length, 0);
  const completion = reasoning + Math.ceil(written / CHARS_PER_TOKEN);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: known - (known % CACHE_BLOCK) },
    completion_tokens_details: { reasoning_tokens: reasoning },
  };
}

function tokensOf(messages: ScriptedMessage[]): number {
  const chars = messages.reduce((sum, { content }) => sum + content.length + 16, 0);
  return Math.ceil(chars / CHARS_PER_TOKEN);
}

/** 0 to 1, always the same for the same parts. */
export function chance(...parts: (string | number)[]): number {
  const digest = createHash('sha256').update(parts.join('\0')).digest();
  return digest.readUInt32BE(0) / 2 ** 32;
}

/** One of a list, always the same for the same parts. */
export function pick<T>(list: readonly [T, ...T[]], ...parts: (string | number)[]): T {
  return list[Math.floor(chance(...parts) * list.length)] ?? list[0];
}
