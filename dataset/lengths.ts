/** How long a conversation is for a trainer, in tokens of its ChatML text, and how much of it a sequence of a given length keeps. */

import type { Conversation } from './conversation.ts';
import { toHermesMessages } from './formats/hermes.ts';
import type { CountTokens } from './tokens.ts';

export interface Lengths {
  tokens: number;
  /** Replies that end within the budget. */
  keptReplies: number;
  /** Messages up to the last such reply, as a share of all. */
  keptRatio: number;
  /** Tokens of what was read before the review of the first submit, per pair of messages: the reference's measure of tool output. */
  observationTokens: number;
  /** Of the longest message that was read. */
  longestObservation: number;
}

/** Measures a conversation as the `hermes` format writes it, whatever format its row has. */
export function measure(
  conversation: Conversation,
  countTokens: CountTokens,
  tokenBudget: number,
): Lengths {
  const messages = toHermesMessages(conversation);
  const lengths: Lengths = {
    tokens: 0,
    keptReplies: 0,
    keptRatio: 0,
    observationTokens: 0,
    longestObservation: 0,
  };
  const submit = firstSubmit(conversation);
  let replies = 0;
  let read = 0;
  for (const [index, { role, content }] of messages.entries()) {
    const own = countTokens(content) + MESSAGE_TOKENS;
    lengths.tokens += own;
    if (role === 'user') {
      lengths.longestObservation = Math.max(lengths.longestObservation, own);
      if (replies <= submit) read += own;
    }
    if (role !== 'assistant') continue;
    replies += 1;
    if (lengths.tokens > tokenBudget) continue;
    lengths.keptReplies = replies;
    lengths.keptRatio = (index + 1) / messages.length;
  }
  lengths.observationTokens = read / Math.max(1, Math.floor(messages.length / 2));
  return lengths;
}

// --- internal ---

/** `<|im_start|>`, the role and a line end before a message, `<|im_end|>` and a line end after it. */
const MESSAGE_TOKENS = 5;

/** Replies before the first that submits; what is read after it is its review. */
function firstSubmit({ turns }: Conversation): number {
  const replies = turns.filter((turn) => turn.role === 'assistant');
  const first = replies.findIndex(({ calls }) => calls.some(({ name }) => name === 'submit'));
  return first === -1 ? Infinity : first;
}
