/** The scripted teacher's mind: a conversation → its reply. Pure, and the same for the same conversation. */

import { PR_TAG, VERDICT_TAG } from '../../domain/prompts.ts';
import { summarize, type Task, work } from './agent.ts';
import { submit, toReply } from './moves.ts';
import { findTarget, findTargetBefore, policyOf, type Weights } from './target.ts';
import { drawAim, findAim, sayAim } from './topics.ts';
import type { ScriptedMessage, ScriptedReply, ScriptedRequest } from './wire.ts';

export interface Character {
  seed: number;
  /** Weight of each behaviour. */
  policies: Weights;
}

/** Plays a rollout when there are tools; otherwise judges one, or describes one, whichever the last message asks for. */
export function answer(request: ScriptedRequest, character: Character): ScriptedReply {
  if (request.hasTools) return playTurn(request.messages, character);
  const prompt = request.messages.findLast(({ role }) => role === 'user')?.content ?? '';
  const verdictAt = prompt.lastIndexOf(`<${VERDICT_TAG}>`);
  const prAt = prompt.lastIndexOf(`<${PR_TAG}>`);
  if (verdictAt === -1 && prAt === -1) {
    return { content: 'I can only play rollouts, judge them and describe them.', calls: [] };
  }
  return verdictAt > prAt ? judge(prompt, character) : describe(prompt);
}

function playTurn(messages: ScriptedMessage[], { seed, policies }: Character): ScriptedReply {
  const task = readTask(messages, seed, policies);
  const observations = toObservations(messages);
  const turn = observations.length + 1;
  if (task === undefined) {
    return toReply(submit('The task names no function, so there is nothing to do.'), turn, seed);
  }
  // Stateless: the whole rollout so far is played again, from what its commands printed.
  const playing = work(task);
  let next = playing.next();
  for (const observation of observations) {
    if (next.done) break;
    next = playing.next(observation);
  }
  return toReply(next.done ? submit(summarize(task)) : next.value, turn, seed);
}

function readTask(messages: ScriptedMessage[], seed: number, policies: Weights): Task | undefined {
  const text = messages.find(({ role }) => role === 'user')?.content ?? '';
  const target = findTarget(text);
  if (target === undefined) return undefined;
  const policy = policyOf(seed, policies, target);
  const told = findAim(text);
  return told === undefined
    ? { target, policy, rollout: 1, aim: drawAim(seed, text) }
    : { target, policy, rollout: 2, aim: told.aim };
}

/** For each of the assistant's turns, all that came after it. */
function toObservations(messages: ScriptedMessage[]): string[] {
  const observations: string[][] = [];
  for (const { role, content } of messages) {
    if (role === 'assistant') observations.push([]);
    else observations.at(-1)?.push(content);
  }
  return observations.map((parts) => parts.join('\n'));
}

function judge(prompt: string, { seed, policies }: Character): ScriptedReply {
  const target = findTarget(prompt);
  const isNo = target !== undefined && policyOf(seed, policies, target) === 'self-check-no';
  return {
    content: isNo
      ? `The change is about something else than the instruction.\n\n<${VERDICT_TAG}>no</${VERDICT_TAG}>`
      : `The change is small and does what the instruction asks for.\n\n<${VERDICT_TAG}>yes</${VERDICT_TAG}>`,
    reasoning: 'Only the change that was there at the end counts.',
    calls: [],
  };
}

/** Writes the pull request from what rollout 1 said of its work; without that there is nothing to tag. */
function describe(prompt: string): ScriptedReply {
  const found = findAim(prompt);
  const target = found && findTargetBefore(prompt, found.index);
  if (found === undefined || target === undefined) {
    return { content: 'These steps do not say what they were for.', calls: [] };
  }
  const { topic } = found.aim;
  const text = [
    `# ${topic.title}`,
    `I came across this with \`${target.name}\` in \`${target.file}\`. ${sayAim(found.aim)}`,
    '## To reproduce',
    'Call it the way the text above says, and watch what comes out.',
    '## Expected',
    topic.expectation,
  ].join('\n\n');
  return {
    content: `<${PR_TAG}>\n${text}\n</${PR_TAG}>`,
    reasoning: 'No cause, no solution, only what one sees.',
    calls: [],
  };
}
