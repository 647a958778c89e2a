import { expect, test } from 'vitest';
import { renderCommand } from '../../../agent/tools/bash.ts';
import type { CommandResult } from '../../../domain/ports.ts';

const RESULT: CommandResult = {
  end: 'exited',
  exitCode: 0,
  output: 'out\n',
  outputBytes: 4,
  omittedBytes: 0,
  background: false,
  shell: { cwd: '/testbed', env: {} },
  durationMs: 1,
};

test.each<[string, Partial<CommandResult>, string]>([
  ['its output', {}, 'out'],
  ['that there is none', { output: '' }, '[the command printed nothing]'],
  ['a failure', { exitCode: 2 }, 'out\n[exit code 2]'],
  [
    'a failure without output',
    { output: '', exitCode: 1 },
    '[the command printed nothing]\n[exit code 1]',
  ],
  ['lack of memory', { end: 'oom', exitCode: 137 }, 'out\n[killed: the sandbox ran out of memory]'],
  ['a full disk', { end: 'disk', exitCode: 1 }, "out\n[the sandbox's disk is full]"],
  [
    'processes left behind',
    { background: true },
    'out\n[the command left processes running in the background]',
  ],
  ['control characters', { output: '\u001b[31mred\u0007\r\n\0' }, '\u001b[31mred\u0007\r\n\uFFFD'],
  [
    'a limit of time',
    { end: 'timed-out', exitCode: null },
    'out\n[killed after 300 s; every process of yours in the sandbox was ended]',
  ],
  [
    'bytes that were not kept',
    { omittedBytes: 90, outputBytes: 94 },
    'out\n[90 of 94 bytes of output were not kept; they are missing in the middle]',
  ],
])('a command shows %s', (_what, part, expected) => {
  expect(renderCommand({ ...RESULT, ...part }, 300_000, 1000)).toBe(expected);
});
