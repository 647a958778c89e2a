/** A conversation as an OpenAI chat request. */

import type { BatchConfig } from '../domain/config.ts';
import type { CompletionRequest } from '../domain/ports.ts';
import { settingsOf } from '../domain/stage-key.ts';
import type { Thinking, ThinkingField } from '../domain/teacher-config.ts';
import type { Message } from '../domain/trajectory.ts';

/**
 * The JSON body of a request. Its keys have one order with `messages` last, and nothing in it changes from call to call, so the
 * next request of a conversation extends this one byte for byte and the endpoint's cache holds. The messages must not be changed
 * afterwards: each is encoded once, because a step must not cost more the longer its conversation is.
 */
export function toRequestBody(
  { tools, messages }: CompletionRequest,
  endpoint: EndpointConfig,
  teacher: BatchConfig['teacher'],
  isStreamed: boolean,
): Buffer {
  const { temperature, topP, maxTokens, thinking } = settingsOf(teacher, endpoint);
  const fields = Object.entries({
    model: endpoint.model,
    temperature,
    top_p: topP,
    max_tokens: maxTokens,
    ...(thinking !== undefined && toThinkingFields(thinking, endpoint.thinkingField)),
    ...endpoint.body,
    ...(isStreamed && { stream: true, stream_options: { include_usage: true } }),
    ...(tools && tools.length > 0 && { tools }),
  }).filter(([, value]) => value !== undefined && value !== null);
  const settings = JSON.stringify(Object.fromEntries(fields));
  const encode = encoderFor(endpoint.reasoningField);
  const encoded = messages.map((message, index) =>
    endpoint.cacheMarks === true && (message.role === 'system' || index === messages.length - 1)
      ? Buffer.from(COMMA + JSON.stringify(withCacheMark(toWireMessage(message, undefined))))
      : encode(message),
  );
  const [first, ...others] = encoded;
  return Buffer.concat([
    Buffer.from(`${settings.slice(0, -1)},"messages":[`),
    ...(first === undefined ? [] : [first.subarray(COMMA.length)]),
    ...others,
    Buffer.from(']}'),
  ]);
}

// --- internal ---

type EndpointConfig = BatchConfig['teacher']['endpoints'][number];
type ReasoningField = EndpointConfig['reasoningField'];

const COMMA = ',';
/** A comma and the JSON of each message that was sent before, for as long as its conversation lives; by how its reasoning is sent. */
const encodings = new Map<ReasoningField, WeakMap<Message, Buffer>>();

function encoderFor(reasoningField: ReasoningField): (message: Message) => Buffer {
  const known = encodings.get(reasoningField) ?? new WeakMap<Message, Buffer>();
  encodings.set(reasoningField, known);
  return (message) => {
    const bytes =
      known.get(message) ??
      Buffer.from(COMMA + JSON.stringify(toWireMessage(message, reasoningField)));
    known.set(message, bytes);
    return bytes;
  };
}

/** The mark stands on a part of the content. What asks last, and so is marked, is never an assistant. */
function withCacheMark(message: object): object {
  const { content } = message as { content?: unknown };
  return {
    ...message,
    content: [{ type: 'text', text: content, cache_control: { type: 'ephemeral' } }],
  };
}

/** Told in every way that a field is read. */
function toThinkingFields(thinking: Thinking, field: ThinkingField = 'chat_template_kwargs') {
  const isOn = thinking !== false;
  const level = typeof thinking === 'string' ? thinking : undefined;
  switch (field) {
    case 'chat_template_kwargs':
      // Templates ask for one of these names, and leave the other alone.
      return {
        chat_template_kwargs: { enable_thinking: isOn, thinking: isOn },
        reasoning_effort: level,
      };
    case 'thinking':
      return { thinking: { type: isOn ? 'enabled' : 'disabled' }, reasoning_effort: level };
    case 'enable_thinking':
      return { enable_thinking: isOn };
    case 'reasoning':
      return { reasoning: level === undefined ? { enabled: isOn } : { effort: level } };
    case 'reasoning_effort':
      return { reasoning_effort: level ?? (isOn ? 'medium' : 'none') };
  }
}

function toWireMessage(message: Message, reasoningField: ReasoningField): object {
  switch (message.role) {
    case 'system':
    case 'user':
      return { role: message.role, content: message.content };
    case 'tool':
      return { role: 'tool', tool_call_id: message.toolCallId, content: message.content };
    case 'assistant': {
      const calls = message.toolCalls ?? [];
      const { reasoning = '' } = message;
      const thought =
        reasoningField !== undefined && reasoning !== '' ? { [reasoningField]: reasoning } : {};
      if (calls.length === 0) return { role: 'assistant', content: message.content, ...thought };
      return {
        role: 'assistant',
        // Several endpoints refuse an empty text beside calls, and none refuses null.
        content: message.content === '' ? null : message.content,
        ...thought,
        tool_calls: calls.map(({ id, name, arguments: text }) => ({
          id,
          type: 'function',
          function: { name, arguments: text },
        })),
      };
    }
  }
}
