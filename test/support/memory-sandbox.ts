/** A sandbox in memory, for tests of the loop itself: files are a map, and a command does what its text says of it. */

import type { CommandResult, Sandbox } from '../../domain/ports.ts';

const ENDS: Record<string, CommandResult['end']> = { hang: 'timed-out', flood: 'disk-limit' };

/**
 * `N ms` takes that long, `hang` runs out of time, `flood` out of disk, `rm -f -- 'PATH'` removes a file, every other command
 * prints how many ran before it. A repeated request id gets the first answer.
 */
export function createMemorySandbox(files = new Map<string, string>()): Sandbox & {
  files: Map<string, string>;
  ran: string[];
} {
  const answers = new Map<string, ReturnType<Sandbox['run']>>();
  const ran: string[] = [];
  return {
    ref: { engine: 'none', container: 'none', imageId: 'none' },
    files,
    ran,
    run({ id, command, shell }) {
      const answer =
        answers.get(id) ??
        Promise.resolve({
          end: ENDS[command] ?? ('exited' as const),
          exitCode: ENDS[command] === undefined ? 0 : null,
          output: String(ran.length),
          outputBytes: 1,
          omittedBytes: 0,
          background: false,
          shell: { ...shell, env: { COUNT: String(ran.length) } },
          durationMs: Number.parseInt(command, 10) || 0,
        });
      if (!answers.has(id)) {
        ran.push(id);
        files.delete(/^rm -f -- '(.*)'$/.exec(command)?.[1] ?? '');
        answers.set(id, answer);
      }
      return answer;
    },
    readFile: async (path) => {
      const text = files.get(path);
      if (text === undefined) return { kind: 'missing' };
      const bytes = new TextEncoder().encode(text);
      return { kind: 'file', bytes, size: bytes.length, truncated: false };
    },
    writeFile: async (path, bytes) => {
      files.set(path, new TextDecoder().decode(bytes));
    },
    list: async () => undefined,
    stop: async () => {},
    close: async () => {},
  };
}
