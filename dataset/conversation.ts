/** The canonical record of a rollout: what every format is rendered from, and what each can be read back to. */

import { z } from 'zod';
import type { Trajectory, Turn } from '../domain/trajectory.ts';
import type { SecretPolicy } from './secrets.ts';
import {
  cleanJson,
  cleanText,
  defuseTags,
  defuseTokens,
  hasChatTags,
  hasControlTokens,
  parseJsonObject,
  type Json,
  type JsonObject,
} from './text.ts';

export interface Call {
  name: string;
  arguments: JsonObject;
}

export interface Reply {
  role: 'assistant';
  reasoning: string;
  text: string;
  calls: Call[];
  /** False where the trainer shall not learn it. */
  train: boolean;
}

/**
 * What the teacher read and wrote in turn. A `tool` turn answers the first call of the reply before it that has no answer yet,
 * so neither needs an id.
 */
export type ConversationTurn =
  | { role: 'user'; content: string }
  | { role: 'tool'; content: string }
  | Reply;

/** It ends with a reply: what came back after the last one teaches nothing, and some trainers drop rows of an odd length. */
export interface Conversation {
  system: string;
  tools: Json[];
  turns: ConversationTurn[];
}

/** Why a trajectory cannot become a row. */
export type ConversationLoss =
  /** Some text holds a control token or a tag of chat templates, which would become real ones in training. */
  | 'chat-tokens'
  /** A call was executed whose arguments are no JSON object. */
  | 'invalid-call'
  /** The turns do not alternate. */
  | 'broken-turns'
  | 'nothing-to-train'
  /** A secret stands in it, and was to cost the row. */
  | 'secret';

export interface ConversationOptions {
  /** What happens to control tokens and chat tags in what the teacher read; in what it wrote they always cost the row. */
  chatTokens: 'drop' | 'escape';
  /** Replies whose call failed by the teacher's own fault are kept and not trained on. */
  maskFailed: boolean;
  /** Left out: they are masked. */
  secrets?: SecretPolicy;
  /** Control tokens of the tokenizer the rows are for, longest first, beside those that every tokenizer's are told by. */
  ownTokens?: string[];
}

export const DEFAULT_CONVERSATION: ConversationOptions = { chatTokens: 'drop', maskFailed: false };

/** The canonical record of a trajectory, or why there is none. Throws ZodError where a tool is no JSON. */
export function toConversation(
  trajectory: Pick<Trajectory, 'turns'> & { tools: readonly unknown[] },
  options: ConversationOptions = DEFAULT_CONVERSATION,
): { conversation: Conversation } | { lost: ConversationLoss } {
  const lastReply = trajectory.turns.findLastIndex((turn) => turn.role === 'assistant');
  const kept = trajectory.turns.slice(0, lastReply + 1);
  const prompts = kept.filter(({ role }) => role === 'system').map(({ content }) => content);
  const rest = kept.slice(prompts.length);
  if (!rest.some((turn) => turn.role === 'assistant' && turn.malformed !== true))
    return { lost: 'nothing-to-train' };
  const turns: ConversationTurn[] = [];
  for (let at = 0; at < rest.length; at += 1) {
    const turn = rest[at]!;
    if (turn.role === 'assistant') {
      const reply = toReply(turn, options, options.maskFailed && hasFailed(rest, at));
      if (reply === undefined) return { lost: 'invalid-call' };
      turns.push(reply);
    } else {
      addHeard(turns, turn, options);
    }
  }
  const conversation = {
    system: heard(prompts.join('\n\n'), options).trim(),
    tools: toolsSchema.parse(trajectory.tools).map((tool) => cleanJson(tool)),
    turns,
  };
  if (!isOrdered(conversation.turns)) return { lost: 'broken-turns' };
  if (!conversation.turns.some((turn) => turn.role === 'assistant' && turn.train))
    return { lost: 'nothing-to-train' };
  return hasChatTokens(conversation, options.ownTokens)
    ? { lost: 'chat-tokens' }
    : { conversation };
}

/** All texts of a reply; names and arguments as they stand in a row, escapes resolved. */
export function textsOf({ reasoning, text, calls }: Reply): string[] {
  return [
    reasoning,
    text,
    ...calls.flatMap((call) => [call.name, ...stringsOf(call.arguments), JSON.stringify(call)]),
  ];
}

// --- internal ---

const toolsSchema = z.array(z.json());

type AssistantTurn = Extract<Turn, { role: 'assistant' }>;

/** Undefined where an executed call has no arguments. A refused turn is kept as the text it was. */
function toReply(
  turn: AssistantTurn,
  options: ConversationOptions,
  isMasked: boolean,
): Reply | undefined {
  const calls = (turn.toolCalls ?? []).map((call) => ({
    name: cleanText(call.name),
    text: cleanText(call.arguments),
    arguments: parseJsonObject(call.arguments),
  }));
  const reasoning = cleanText(turn.reasoning ?? '').trim();
  const content = cleanText(turn.content);
  if (turn.malformed === true) {
    const texts = [content, ...calls.map(({ name, text }) => `${name} ${text}`)];
    return {
      role: 'assistant',
      // Such a turn often is a call gone wrong: nobody trains on its tags, but a template would act on them.
      reasoning: defuseTags(heard(reasoning, options)),
      text: defuseTags(heard(texts.join('\n'), options)).trim(),
      calls: [],
      train: false,
    };
  }
  if (calls.some((call) => call.arguments === undefined)) return undefined;
  return {
    role: 'assistant',
    reasoning,
    text: content.trim(),
    calls: calls.map((call) => ({ name: call.name, arguments: call.arguments ?? {} })),
    train: !isMasked,
  };
}

/** Whether a tool said that a call of this reply was the teacher's mistake. */
function hasFailed(turns: Turn[], reply: number): boolean {
  for (let at = reply + 1; turns[at]?.role === 'tool'; at += 1) {
    if (turns[at]!.failed === true) return true;
  }
  return false;
}

/** Adds what the teacher read. The calls of a refused reply are text now, and so is their answer, the same for each of them. */
function addHeard(turns: ConversationTurn[], turn: Turn, options: ConversationOptions): void {
  const content = heard(turn.content, options);
  const last = turns.at(-1);
  const reply = turns.findLast((each) => each.role === 'assistant');
  const isAnswer = turn.role === 'tool' && (reply === undefined || reply.calls.length > 0);
  if (isAnswer) turns.push({ role: 'tool', content });
  else if (last?.role !== 'user') turns.push({ role: 'user', content });
  else if (last.content !== content) last.content += `\n${content}`;
}

function heard(content: string, { chatTokens, ownTokens }: ConversationOptions): string {
  const text = cleanText(content);
  return chatTokens === 'escape' ? defuseTags(defuseTokens(text, ownTokens)) : text;
}

/** Something to read before every reply; tools answer every call of the reply before them, first of all. */
function isOrdered(turns: ConversationTurn[]): boolean {
  let unanswered = 0;
  let before: ConversationTurn['role'] = 'assistant';
  for (const turn of turns) {
    if (turn.role === 'assistant') {
      if (before === 'assistant' || unanswered > 0) return false;
      unanswered = turn.calls.length;
    } else if (turn.role === 'tool') {
      if (before === 'user' || unanswered === 0) return false;
      unanswered -= 1;
    }
    before = turn.role;
  }
  return before === 'assistant';
}

function hasChatTokens({ system, turns }: Conversation, ownTokens: string[] = []): boolean {
  const isUnsafe = (text: string) => hasControlTokens(text, ownTokens) || hasChatTags(text);
  if (isUnsafe(system)) return true;
  return turns.some((turn) =>
    turn.role === 'assistant' ? textsOf(turn).some(isUnsafe) : isUnsafe(turn.content),
  );
}

function stringsOf(value: Json): string[] {
  if (typeof value === 'string') return [value];
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, item]) => [key, ...stringsOf(item)]);
}
