/** Tokens of a call, from the many shapes endpoints report them in. */

import type { CompletionRequest } from '../domain/ports.ts';
import type { AssistantMessage, Usage } from '../domain/trajectory.ts';
import { asRecord } from './json.ts';

/** No model reads or writes more in one call; a larger figure is a fault of the endpoint, as is a negative one. */
const MAX_TOKENS_OF_A_CALL = 100_000_000;
const CHARS_PER_TOKEN = 4;

/**
 * The usage object of a reply, normalised: cached input is part of input, reasoning part of output, and no part larger than its
 * whole. Undefined when it has no believable token count.
 */
export function parseUsage(value: unknown): Usage | undefined {
  const usage = asRecord(value);
  const input = firstCount(usage, ['prompt_tokens', 'input_tokens']);
  const output = firstCount(usage, ['completion_tokens', 'output_tokens']);
  if (input === undefined || output === undefined) return undefined;

  const inputDetails = asRecord(usage['prompt_tokens_details'] ?? usage['input_tokens_details']);
  const outputDetails = asRecord(
    usage['completion_tokens_details'] ?? usage['output_tokens_details'],
  );
  const cached =
    firstCount(inputDetails, ['cached_tokens']) ??
    firstCount(usage, ['prompt_cache_hit_tokens', 'cache_read_input_tokens', 'cached_tokens']) ??
    0;
  const reasoning =
    firstCount(outputDetails, ['reasoning_tokens']) ?? firstCount(usage, ['reasoning_tokens']) ?? 0;

  // Anthropic's own names count what came from the cache, or went into it, beside the input instead of in it.
  const besideInput =
    usage['prompt_tokens'] === undefined
      ? (firstCount(usage, ['cache_read_input_tokens']) ?? 0) +
        (firstCount(usage, ['cache_creation_input_tokens']) ?? 0)
      : 0;
  // Some endpoints count reasoning beside the output; their total gives it away.
  const total = firstCount(usage, ['total_tokens']);
  const besideOutput = reasoning > 0 && total === input + output + reasoning ? reasoning : 0;

  const inputTokens = input + besideInput;
  const outputTokens = output + besideOutput;
  return {
    inputTokens,
    cachedInputTokens: Math.min(cached, inputTokens),
    outputTokens,
    reasoningTokens: Math.min(reasoning, outputTokens),
  };
}

/** A guess at four characters per token, so that token limits hold where an endpoint reports nothing. */
export function estimateUsage(request: CompletionRequest, message: AssistantMessage): Usage {
  const reasoningTokens = toTokens(message.reasoning?.length ?? 0);
  return {
    inputTokens: estimateInputTokens(request),
    cachedInputTokens: 0,
    outputTokens: reasoningTokens + toTokens(charsOf(message)),
    reasoningTokens,
  };
}

/** The same guess, before there is a reply. */
export function estimateInputTokens({ messages, tools = [] }: CompletionRequest): number {
  return toTokens(sum(messages.map(charsOf)) + JSON.stringify(tools).length);
}

function charsOf(message: CompletionRequest['messages'][number]): number {
  const calls = message.role === 'assistant' ? (message.toolCalls ?? []) : [];
  return message.content.length + sum(calls.map((c) => c.name.length + c.arguments.length));
}

function firstCount(record: Record<string, unknown>, names: string[]): number | undefined {
  for (const name of names) {
    const value = record[name];
    if (typeof value !== 'number' || !Number.isFinite(value)) continue;
    if (value < 0 || value > MAX_TOKENS_OF_A_CALL) continue;
    return Math.round(value);
  }
  return undefined;
}

function toTokens(chars: number): number {
  return Math.ceil(chars / CHARS_PER_TOKEN);
}

function sum(numbers: number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
