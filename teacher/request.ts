/** A conversation as an OpenAI chat request. */

import type { BatchConfig } from '../domain/config.ts';
import type { CompletionRequest } from '../domain/ports.ts';
import type { Message } from '../domain/trajectory.ts';

/**
 * The JSON body of a request. Its keys have one order with `messages` last, and nothing in it changes from call to call, so the
 * next request of a conversation extends this one byte for byte and the endpoint's cache holds. Reasoning is not sent back. The
 * messages must not be changed afterwards: each is encoded once, because a step must not cost more the longer its conversation is.
 */
export function toRequestBody(
  { tools, messages }: CompletionRequest,
  model: string,
  config: BatchConfig['teacher'],
  isStreamed: boolean,
): Buffer {
  const settings = JSON.stringify({
    model,
    temperature: config.temperature,
    top_p: config.topP,
    ...(config.maxTokens !== undefined && { max_tokens: config.maxTokens }),
    ...(isStreamed && { stream: true, stream_options: { include_usage: true } }),
    ...(tools && tools.length > 0 && { tools }),
  });
  const [first, ...others] = messages.map(encoded);
  return Buffer.concat([
    Buffer.from(`${settings.slice(0, -1)},"messages":[`),
    ...(first === undefined ? [] : [first.subarray(COMMA.length)]),
    ...others,
    Buffer.from(']}'),
  ]);
}

const COMMA = ',';
/** A comma and the JSON of each message that was sent before, for as long as its conversation lives. */
const encodings = new WeakMap<Message, Buffer>();

function encoded(message: Message): Buffer {
  const known = encodings.get(message);
  if (known !== undefined) return known;
  const bytes = Buffer.from(COMMA + JSON.stringify(toWireMessage(message)));
  encodings.set(message, bytes);
  return bytes;
}

function toWireMessage(message: Message): object {
  switch (message.role) {
    case 'system':
    case 'user':
      return { role: message.role, content: message.content };
    case 'tool':
      return { role: 'tool', tool_call_id: message.toolCallId, content: message.content };
    case 'assistant': {
      const calls = message.toolCalls ?? [];
      if (calls.length === 0) return { role: 'assistant', content: message.content };
      return {
        role: 'assistant',
        // Several endpoints refuse an empty text beside calls, and none refuses null.
        content: message.content === '' ? null : message.content,
        tool_calls: calls.map(({ id, name, arguments: text }) => ({
          id,
          type: 'function',
          function: { name, arguments: text },
        })),
      };
    }
  }
}
