/** How turns become messages in the flat formats, where an answer of a tool is text of a user message, and back. */

import type { Conversation, ConversationTurn, Reply } from '../conversation.ts';
import { RowError } from './format.ts';

/** `train` is there on every message, false where the trainer shall not learn it: readers want one shape in the whole file. */
export type FlatMessage = {
  role: 'system' | 'user' | 'assistant';
  content: string;
  train: boolean;
};

/** How a flat format writes and reads the parts of a message. */
export interface Manner {
  reply(reply: Omit<Reply, 'role' | 'train'>): string;
  answer(content: string): string;
  /** Undefined where the content is not of its making. */
  readReply(content: string): Omit<Reply, 'role' | 'train'> | undefined;
  /** The answers to `calls` calls, and what follows them; undefined as above. */
  readAnswers(content: string, calls: number): { answers: string[]; rest: string } | undefined;
}

/** All turns as messages; what is read between two replies is one user message. */
export function toMessages(turns: ConversationTurn[], manner: Manner): FlatMessage[] {
  const messages: FlatMessage[] = [];
  for (const turn of turns) {
    const last = messages.at(-1);
    if (turn.role === 'assistant') {
      messages.push({ role: 'assistant', content: manner.reply(turn), train: turn.train });
      continue;
    }
    const content = turn.role === 'tool' ? manner.answer(turn.content) : turn.content;
    if (last?.role === 'user') last.content += `\n${content}`;
    else messages.push({ role: 'user', content, train: false });
  }
  return messages;
}

/** What `toMessages` was given. Throws RowError. */
export function fromMessages(messages: FlatMessage[], manner: Manner): Conversation['turns'] {
  const turns: ConversationTurn[] = [];
  let calls = 0;
  messages.forEach(({ role, content, train }, index) => {
    const expected = index % 2 === 0 ? 'user' : 'assistant';
    const place = `message ${index + 2}`;
    if (role !== expected) throw new RowError(`${place} is of role ${role}, not ${expected}`);
    if (role === 'assistant') {
      const reply = manner.readReply(content);
      if (!reply)
        throw new RowError(`${place} holds a tool call or a thought that cannot be read back`);
      calls = reply.calls.length;
      turns.push({ role, ...reply, train });
      return;
    }
    if (train) throw new RowError(`${place} trains on role ${role}`);
    if (calls === 0) {
      turns.push({ role: 'user', content });
      return;
    }
    const read = manner.readAnswers(content, calls);
    if (!read) throw new RowError(`${place} does not hold the answers to ${calls} calls`);
    for (const answer of read.answers) turns.push({ role: 'tool', content: answer });
    if (read.rest !== '') turns.push({ role: 'user', content: read.rest.slice(1) });
  });
  return turns;
}

/** Thoughts before a text, with the spacing of the Qwen templates, which serve models that write them. */
export function withThoughts(reasoning: string, text: string): string {
  return reasoning === '' ? text : `<think>\n${reasoning}\n</think>\n\n${text}`;
}

/** What `withThoughts` was given. */
export function splitThoughts(content: string): { reasoning: string; rest: string } {
  const thoughts = /^<think>\n([^]*?)\n<\/think>\n\n/.exec(content);
  return { reasoning: thoughts?.[1] ?? '', rest: content.slice(thoughts?.[0].length ?? 0) };
}
