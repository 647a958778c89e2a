/** A conversation as an OpenAI chat request. */

import type { BatchConfig } from '../domain/config.ts';
import type { CompletionRequest } from '../domain/ports.ts';
import type { Message } from '../domain/trajectory.ts';

export interface RequestBody {
  model: string;
  temperature: number;
  top_p: number;
  max_tokens?: number;
  stream?: true;
  stream_options?: { include_usage: true };
  tools?: CompletionRequest['tools'];
  messages: object[];
}

/**
 * The body of a request. Its keys have one order with `messages` last, and nothing in it changes from call to call, so the next
 * request of a conversation extends this one byte for byte and the endpoint's cache holds. Reasoning is not sent back.
 */
export function toRequestBody(
  request: CompletionRequest,
  model: string,
  config: BatchConfig['teacher'],
  isStreamed: boolean,
): RequestBody {
  return {
    model,
    temperature: config.temperature,
    top_p: config.topP,
    ...(config.maxTokens !== undefined && { max_tokens: config.maxTokens }),
    ...(isStreamed && { stream: true, stream_options: { include_usage: true } }),
    ...(request.tools && request.tools.length > 0 && { tools: request.tools }),
    messages: request.messages.map(toWireMessage),
  };
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
