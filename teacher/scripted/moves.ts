/** What the scripted agent can do in one turn, and how it talks about it. */

import { REPOSITORY_PATH } from '../../domain/ids.ts';
import { chance, type ScriptedCall, type ScriptedReply } from './wire.ts';

/** One turn: what it says, and the calls it makes. */
export interface Move {
  say: string;
  calls: ScriptedCall[];
  /** What is said matters later, so it may not turn into hidden reasoning. */
  isAloud?: boolean;
}

export function bash(say: string, command: string): Move {
  return { say, calls: [{ name: 'bash', arguments: JSON.stringify({ command }) }] };
}

/** A call of the editor; `file` is relative to the repository. */
export function edit(say: string, file: string, rest: Record<string, unknown>): Move {
  const { command, ...others } = rest;
  const args = { command, path: `${REPOSITORY_PATH}/${file}`, ...others };
  return { say, calls: [{ name: 'str_replace_editor', arguments: JSON.stringify(args) }] };
}

export function submit(say: string): Move {
  return { say, calls: [{ name: 'submit', arguments: '{}' }], isAloud: true };
}

/** Turns that an agent loop has to refuse: broken arguments, two calls where one is allowed, a tool that is not there. */
export const MALFORMED: Record<'broken' | 'two' | 'unknown', Move> = {
  broken: {
    say: 'I list the files first.',
    calls: [{ name: 'bash', arguments: '{"command": "ls -la' }],
  },
  two: {
    say: 'Both at once.',
    calls: [
      { name: 'bash', arguments: '{"command": "pwd"}' },
      { name: 'bash', arguments: '{"command": "ls"}' },
    ],
  },
  unknown: {
    say: 'I open the file in the browser.',
    calls: [{ name: 'open_browser', arguments: '{"page": "README"}' }],
  },
};

/** A word for the shell, taken literally. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

const THOUGHTS = [
  'One step after the other; first see what is really there.',
  'Before I touch anything I want to be sure that this is the right place.',
  'The smallest change that does it is the best one.',
  'This should not surprise anybody who calls it.',
];

/** Some turns say it, some only think it, some do both; always the same ones for the same conversation. */
export function toReply({ say, calls, isAloud }: Move, turn: number, seed: number): ScriptedReply {
  const draw = chance(seed, 'voice', turn, say);
  const thought = THOUGHTS[turn % THOUGHTS.length] ?? '';
  if (draw < 0.4) return { content: say, calls };
  if (draw < 0.8 || isAloud) return { content: say, reasoning: thought, calls };
  return { content: '', reasoning: `${thought} ${say}`, calls };
}
