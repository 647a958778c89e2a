/** The conversation of one rollout: what the teacher was sent and what it answered. */

/** A call as the teacher wrote it; `arguments` is its JSON text, not yet parsed. */
export interface ToolCall {
  id: string;
  name: string;
  arguments: string;
}

/**
 * How a reply was brought into form before it was used. A rule holds only where a form has one meaning; what has none is
 * answered as a format error.
 */
export type RepairRule =
  /** A missing or repeated id is replaced: results could not be matched to calls otherwise. */
  | 'call-id'
  /** A known tool under a namespace, with a number behind it, with blanks around it, or in other letter case. */
  | 'tool-name'
  /** The object itself, where its JSON text belongs. */
  | 'object-arguments'
  /** No arguments at all: an empty object. */
  | 'no-arguments'
  /** JSON in a code fence. */
  | 'code-fence'
  /** Line ends and tabs that stand in a JSON text as they are. */
  | 'control-characters'
  /** A comma before a closing bracket. */
  | 'trailing-comma'
  /** Only quotes, brackets or end tags follow the object. */
  | 'trailing-text'
  /** An empty object stands beside the one that is meant. */
  | 'empty-object'
  /** The same object several times. */
  | 'repeated-object'
  /** The JSON text of the object as a JSON string. */
  | 'nested-text'
  /** The whole call once more within its own arguments. */
  | 'nested-call'
  /** An optional argument that is null counts as left out. */
  | 'null-argument'
  /** A number, list or truth value as the text of its JSON. */
  | 'value-as-text'
  /** Calls of a reply that the endpoint filtered are dropped: they may be incomplete. */
  | 'filtered-calls';

export interface Repair {
  rule: RepairRule;
  /** Place of the call in its turn, from 0. */
  call: number;
  /** What stood there, shortened. */
  was: string;
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

/**
 * A message of the finished conversation. `malformed` marks an assistant turn whose call was refused, not executed, `repairs`
 * names the rules that brought it into form; `failed` marks a tool's answer that the call itself was a mistake: no such file,
 * text that does not occur, a command that is none.
 */
export type Turn = Message & { malformed?: boolean; repairs?: RepairRule[]; failed?: boolean };

/** A finished rollout as rows and readers see it. */
export interface Trajectory {
  rolloutId: string;
  turns: Turn[];
  tools: ToolSchema[];
}
