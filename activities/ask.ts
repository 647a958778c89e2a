/** A question to the teacher outside a rollout, asked again until the answer can be read. */

import { type Completion, type Teacher, TeacherError } from '../domain/ports.ts';
import type { Spent } from '../domain/sample.ts';
import type { StageKey, StageLedger } from '../domain/store.ts';
import { addCost, addUsage, NO_USAGE } from '../domain/trajectory.ts';

const TRIES = 3;
/** Steps shown at the first try; a teacher that finds them too long gets a shorter piece. */
const MAX_STEPS_CHARS = 240_000;

export interface Question<T> {
  teacher: Teacher;
  /** Prefix of the call ids. */
  scope: string;
  /** The reply of that name, bought unless it is there: a kill buys the reply under way again, and no other. */
  once(name: string, buy: () => Promise<Completion>): Promise<Completion>;
  signal: AbortSignal;
  /** The prompt with at most this much of the rollout's steps. */
  prompt(maxStepsChars: number): string;
  parse(reply: string): T | undefined;
}

/** Returns the first answer that parses, or undefined after three tries, with what all of them cost. Throws TeacherError. */
export async function askUntil<T>(question: Question<T>): Promise<{ answer?: T; spent: Spent }> {
  let spent: Spent = { usage: NO_USAGE, costUsd: 0 };
  let maxStepsChars = MAX_STEPS_CHARS;
  for (let step = 1; step <= TRIES; step += 1) {
    const messages = [{ role: 'user' as const, content: question.prompt(maxStepsChars) }];
    const call = { scope: question.scope, step, try: 1 };
    const reply = await question
      .once(`${step}`, () => question.teacher.complete({ messages }, call, question.signal))
      .catch((error: unknown) => {
        if (error instanceof TeacherError && error.kind === 'context') return undefined;
        throw error;
      });
    if (reply === undefined) {
      maxStepsChars = Math.floor(maxStepsChars / 4);
      continue;
    }
    spent = {
      usage: addUsage(spent.usage, reply.usage),
      costUsd: addCost(spent.costUsd, reply.costUsd),
    };
    const answer = question.parse(reply.message.content);
    if (answer !== undefined) return { answer, spent };
  }
  return { spent };
}

/** Replies remembered in the ledger, under names that start with the stage's. */
export function rememberIn(
  ledger: StageLedger,
  key: StageKey,
): (name: string, buy: () => Promise<Completion>) => Promise<Completion> {
  return async (name, buy) => {
    const reply = { ...key, name: `${key.name}.reply-${name}` };
    return (await ledger.get<Completion>(reply)) ?? ledger.put(reply, await buy());
  };
}
