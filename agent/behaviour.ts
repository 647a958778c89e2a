/** What a rollout did, read from its conversation, and how much of that another one did too. */

import { posix } from 'node:path';
import { REPOSITORY_PATH } from '../domain/ids.ts';
import type { ToolCall, Trajectory, Turn } from '../domain/trajectory.ts';
import type { BehaviourCounts, BehaviourFacts } from '../domain/verification.ts';
import { parseToolUse, type ToolUse } from './tools/profile.ts';

/** Compares the ways of two rollouts; the order of their steps does not matter. Linear in their length. */
export function compareBehaviour(rollout1: Trajectory, rollout2: Trajectory): BehaviourFacts {
  const [first, second] = [behaviourOf(rollout1), behaviourOf(rollout2)];
  return {
    rollout1: countsOf(first),
    rollout2: countsOf(second),
    shared: {
      filesRead: sharedOf(first.read, second.read),
      filesEdited: sharedOf(first.edited, second.edited),
      actions: sharedOf(first.actions, second.actions),
    },
  };
}

// --- internal ---

/** How often each thing was done. */
type Tally = Map<string, number>;

interface Behaviour {
  steps: number;
  failed: number;
  /** Files of the repository that were viewed, or given to a command that reads. */
  read: Tally;
  edited: Tally;
  /** Tool and what it was for: the editor's command and file, a command's program. */
  actions: Tally;
}

function behaviourOf({ turns }: Trajectory): Behaviour {
  const behaviour: Behaviour = {
    steps: 0,
    failed: 0,
    read: new Map(),
    edited: new Map(),
    actions: new Map(),
  };
  const failed = new Set(turns.flatMap((turn) => (isFailed(turn) ? [turn.toolCallId] : [])));
  for (const turn of turns) {
    if (turn.role !== 'assistant' || turn.malformed === true) continue;
    const calls = turn.toolCalls ?? [];
    if (calls.length > 0) behaviour.steps += 1;
    for (const call of calls) {
      if (failed.has(call.id)) behaviour.failed += 1;
      else take(behaviour, call);
    }
  }
  return behaviour;
}

function isFailed(turn: Turn): turn is Turn & { role: 'tool' } {
  return turn.role === 'tool' && turn.failed === true;
}

function take(behaviour: Behaviour, call: ToolCall): void {
  const use = toUse(call);
  if (use === undefined) return;
  if (use.tool === 'submit') add(behaviour.actions, 'submit');
  else if (use.tool === 'bash') {
    const { programs, files } = readCommand(use.args.command);
    for (const file of files) add(behaviour.read, file, 'once');
    for (const program of programs) add(behaviour.actions, `bash ${program}`);
  } else {
    const file = posix.resolve(REPOSITORY_PATH, use.args.path);
    const isView = use.args.command === 'view';
    add(behaviour.actions, `${use.args.command} ${file}`);
    add(isView ? behaviour.read : behaviour.edited, file, 'once');
  }
}

function toUse({ name, arguments: text }: ToolCall): ToolUse | undefined {
  try {
    const use = parseToolUse(name, JSON.parse(text) as Record<string, unknown>);
    return 'problem' in use ? undefined : use;
  } catch {
    return undefined;
  }
}

function add(tally: Tally, what: string, how: 'once' | 'again' = 'again'): void {
  tally.set(what, how === 'once' ? 1 : (tally.get(what) ?? 0) + 1);
}

/** Longer commands write files as a rule, and name what is in them. */
const MAX_COMMAND_CHARS = 2_000;
const READERS = new Set(
  'awk bat cat diff egrep fgrep grep head less more nl rg sed tail wc'.split(' '),
);
const FILE_NAME = /^[\w.@+-]*(?:\/[\w.@+-]+)*\.[a-zA-Z]\w{0,7}$/;

/** Programs of a command in their order, and the files that those which read are given, whether or not they are there. */
function readCommand(command: string): { programs: string[]; files: string[] } {
  const programs: string[] = [];
  const files: string[] = [];
  let folder: string = REPOSITORY_PATH;
  // What is quoted is a pattern or a program, hardly ever a file.
  const text = command.slice(0, MAX_COMMAND_CHARS).replaceAll(/'[^']*'|"[^"]*"/g, ' ');
  for (const part of text.split(/[|;&\n]+/)) {
    const [program, ...words] = part.split(/[\s()<>]+/).filter((word) => word !== '');
    if (program === undefined) continue;
    programs.push(program);
    if (program === 'cd') folder = posix.resolve(folder, words[0] ?? '.');
    else if (READERS.has(program)) {
      files.push(...words.filter(isFileName).map((word) => posix.resolve(folder, word)));
    }
  }
  return { programs, files: files.filter((file) => file.startsWith(`${REPOSITORY_PATH}/`)) };
}

function isFileName(word: string): boolean {
  return word.length <= 200 && FILE_NAME.test(word);
}

function countsOf({ steps, failed, read, edited }: Behaviour): BehaviourCounts {
  return { steps, failed, filesRead: read.size, filesEdited: edited.size };
}

function sharedOf(first: Tally, second: Tally): number | null {
  let both = 0;
  let either = 0;
  for (const what of new Set([...first.keys(), ...second.keys()])) {
    const [a, b] = [first.get(what) ?? 0, second.get(what) ?? 0];
    both += Math.min(a, b);
    either += Math.max(a, b);
  }
  return either === 0 ? null : both / either;
}
