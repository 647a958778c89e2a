/** What a shell says of itself, by real bash, and what is made of it. */

import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { INITIAL_SHELL, parseShell, renderShell } from '../../sandbox/shell.ts';

const LEAVE = 'printf "%s\\0" "$PWD"; declare -px; printf end';
const ENVIRONMENT = { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' };

/** The state that bash leaves after a script. */
function leave(script: string, environment: Record<string, string> = ENVIRONMENT) {
  const text = `cd /; ${script}\n${LEAVE}`;
  const bytes = execFileSync('/bin/bash', ['--norc', '-c', text], { env: environment });
  return parseShell(bytes, environment, INITIAL_SHELL);
}

describe('the state of a shell', () => {
  it('holds any value of an exported variable, in any locale', () => {
    const value = fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', ''));
    const values = fc.dictionary(fc.stringMatching(/^V[a-z0-9_]{0,8}$/), value, { minKeys: 1 });
    fc.assert(
      fc.property(values, fc.constantFrom('C', 'C.UTF-8'), (env, locale) => {
        const exported = renderShell({ cwd: '/', env });
        expect(leave(exported, { ...ENVIRONMENT, LC_ALL: locale })).toEqual({ cwd: '/', env });
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    [
      'a value that looks like more of them',
      `A=$'1"\\ndeclare -x B="2'`,
      { A: '1"\ndeclare -x B="2' },
    ],
    ['control characters', `A=$'\\e\\a\\001\\177\\t'`, { A: '\x1b\x07\x01\x7f\t' }],
    [
      'numbers and what may not be set again',
      'declare -ix A=3; readonly B=4; export B',
      { A: '3', B: '4' },
    ],
    ['posix mode', 'set -o posix; A=1', { A: '1' }],
    ['a variable that was taken away', 'unset LC_ALL', { LC_ALL: null }],
    ['an array, which no environment holds', 'declare -ax A=(1 2); B=1', { B: '1' }],
    ['one without a value', 'export A; B=1', { B: '1' }],
    ['bytes that are no text', `A=$'\\xff'; B=1`, { B: '1' }],
    ['what bash sets itself', 'SHLVL=7; export BASHOPTS; A=1', { A: '1' }],
  ])('knows %s', (_, script, env) => {
    expect(leave(`set -a; ${script}`)).toEqual({ cwd: '/', env: expect.objectContaining(env) });
  });

  it('is the one before where the shell was cut off, or left none', () => {
    const whole = Buffer.from('/\0declare -x A="1"\nend');
    expect(parseShell(whole, {}, INITIAL_SHELL)).toEqual({ cwd: '/', env: { A: '1' } });
    for (let length = 0; length < whole.length; length++) {
      expect(parseShell(whole.subarray(0, length), {}, INITIAL_SHELL)).toBe(INITIAL_SHELL);
    }
    expect(parseShell(Buffer.from('gone\0end'), {}, INITIAL_SHELL)).toBe(INITIAL_SHELL);
  });

  it('is the folder alone, with the variables before, where those are more than are kept', () => {
    const before = { cwd: '/testbed', env: { A: '1' } };
    expect(parseShell(Buffer.from('/tmp\0more'), {}, before)).toEqual({
      cwd: '/tmp',
      env: { A: '1' },
    });
  });

  it('reads a quarter of a megabyte at once', () => {
    const text = '\\"'.repeat(120_000);
    const bytes = Buffer.from(`/\0declare -x A="${text}"\nend`);
    expect(parseShell(bytes, {}, INITIAL_SHELL).env['A']).toBe('"'.repeat(120_000));
  });
});
