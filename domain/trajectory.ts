/** The conversation of one rollout: what the teacher was sent and what it answered. */

/** A call as the teacher wrote it; `arguments` is its JSON text, not yet parsed. */
export interface ToolCall {
  id: string;
  name: string;
  arguments: string;
}

export interface AssistantMessage {
  role: 'assistant';
  content: string;
  /** Reasoning text, whatever field the endpoint sent it in; never part of `content`. */
  reasoning?: string;
  toolCalls?: ToolCall[];
}

export type Message =
  | { role: 'system'; content: string }
  | { role: 'user'; content: string }
  | AssistantMessage
  | { role: 'tool'; toolCallId: string; content: string };

/** An OpenAI function tool. */
export interface ToolSchema {
  type: 'function';
  function: { name: string; description: string; parameters: Record<string, unknown> };
}

/** Tokens of one or more calls; cached input is part of input, reasoning is part of output. */
export interface Usage {
  inputTokens: number;
  cachedInputTokens: number;
  outputTokens: number;
  reasoningTokens: number;
}

export const NO_USAGE: Usage = {
  inputTokens: 0,
  cachedInputTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
};

export function addUsage(a: Usage, b: Usage): Usage {
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    cachedInputTokens: a.cachedInputTokens + b.cachedInputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    reasoningTokens: a.reasoningTokens + b.reasoningTokens,
  };
}

/** USD, or null where a price is unknown; an unknown part makes the sum unknown. */
export function addCost(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}

/** A message of the finished conversation; `malformed` marks an assistant turn whose call was refused, not executed. */
export type Turn = Message & { malformed?: boolean };

/** A finished rollout as rows and readers see it. */
export interface Trajectory {
  rolloutId: string;
  turns: Turn[];
  tools: ToolSchema[];
}
