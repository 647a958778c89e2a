/** What every Sandbox does, whatever is behind it. The Docker one passes all of it, the fake what needs no isolation. */

import { execFileSync } from 'node:child_process';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  type CommandRequest,
  type Sandbox,
  SandboxLost,
  type ShellState,
} from '../../domain/ports.ts';
import { INITIAL_SHELL } from '../../sandbox/shell.ts';
import { run as runIn } from '../support/sandbox-suite.ts';
import { SNIPPETS } from './shell-snippets.ts';

/** Registers the suite for one implementation; `start` gives a fresh sandbox over an empty repository. */
export function describeSandbox(name: string, start: () => Promise<Sandbox>): void {
  describe(name, () => {
    let sandbox: Sandbox;
    const run = (command: string, options: Partial<CommandRequest> = {}) =>
      runIn(sandbox, command, options);

    beforeAll(async () => {
      sandbox = await start();
    });
    afterAll(async () => sandbox?.close());

    describe('exit codes', () => {
      it.each([
        ['true', 0],
        ['false', 1],
        ['exit 7', 7],
        ['exit 255', 255],
        ['(exit 3)', 3],
        ['bash -c "exit 42"', 42],
        ['no-such-program', 127],
        ['/etc', 126],
        ['kill -TERM $$', 143],
        ['kill -9 $$', 137],
        ['set -e; false; echo not reached', 1],
        ['echo $((1/0))', 1],
        ['if', 2],
        ['trap "exit 9" EXIT; true', 9],
        ['', 0],
        ['# only a comment', 0],
      ])('%s ends with %i', async (command, exitCode) => {
        expect(await run(command)).toMatchObject({ end: 'exited', exitCode });
      });
    });

    describe('output', () => {
      it('keeps what goes to stdout and stderr in the order it was written', async () => {
        const { output } = await run('for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done');
        expect(output).toBe([1, 2, 3, 4, 5].map((i) => `out${i}\nerr${i}\n`).join(''));
      });

      it('F8: gives the same text as plain bash for every snippet', async () => {
        for (const snippet of SNIPPETS) {
          const { output, exitCode } = await run(snippet);
          // Only where a syntax error was found is told differently.
          const shown = output.replaceAll('bash: eval: line', 'bash: -c: line');
          expect({ snippet, output: shown, exitCode }).toEqual({ snippet, ...plainBash(snippet) });
        }
      }, 120_000);

      it('F8: runs a command of a megabyte', async () => {
        const text = 'x'.repeat(1024 ** 2);
        expect(await run(`text='${text}'; echo \${#text}`)).toMatchObject({
          exitCode: 0,
          output: `${1024 ** 2}\n`,
        });
      });

      it('keeps carriage returns and replaces what is not UTF-8', async () => {
        expect((await run(`printf 'a\\r\\nb\\n'`)).output).toBe('a\r\nb\n');
        const { output, outputBytes } = await run(`printf 'a\\xff\\xfe b \\xc3\\xa9'`);
        expect(output).toBe('a\uFFFD\uFFFD b é');
        expect(outputBytes).toBe(8);
      });

      it.each([
        'SHELLPS1PREFIX',
        '###PS1JSON###',
        'EXITCODESTART0EXITCODEEND',
        '\\0done',
        'exited 0 5 0 100\\n',
        '\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x05hello',
        'COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT',
      ])('F7, T47: is not misled by %s in the output', async (marker) => {
        const result = await run(`printf 'before ${marker} after'; printf '${marker}' >&2; exit 5`);
        expect(result.exitCode).toBe(5);
        expect(result.output).toMatch(/^before .* after/s);
      });

      it('keeps head and tail of a long output and counts it exactly', async () => {
        const result = await run('seq 1 200000', { maxOutputBytes: 1000 });
        const whole = Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join('');
        expect(result.outputBytes).toBe(whole.length);
        expect(result.omittedBytes).toBe(whole.length - 1000);
        expect(result.output).toBe(
          `${whole.slice(0, 500)}\n[... ${whole.length - 1000} bytes left out ...]\n${whole.slice(-500)}`,
        );
      });

      it.each([999, 1000, 1001])(
        'leaves nothing out of %i bytes when asked for 1000, but what is over',
        async (size) => {
          const result = await run(`head -c ${size} /dev/zero | tr '\\0' x`, {
            maxOutputBytes: 1000,
          });
          expect(result).toMatchObject({
            outputBytes: size,
            omittedBytes: Math.max(0, size - 1000),
          });
          expect(result.output.match(/x{3,}/g)?.join('')).toHaveLength(Math.min(size, 1000));
        },
      );

      it.each([1, 2, 3, 4, 5, 6, 7, 8])(
        'cuts no character of four bytes in two (asked for 40 + %i bytes)',
        async (more) => {
          const { output, omittedBytes, outputBytes } = await run(
            `for i in {1..50}; do printf '😀'; done`,
            { maxOutputBytes: 40 + more },
          );
          expect(output).not.toContain('\uFFFD');
          const shown = output.replace(/\n\[.*\]\n/, '');
          expect(Buffer.byteLength(shown) + omittedBytes).toBe(outputBytes);
        },
      );

      it('T17: counts many tiny writes', async () => {
        const { outputBytes, output } = await run(
          'for ((i = 0; i < 20000; i++)); do echo x; done',
          { maxOutputBytes: 100 },
        );
        expect(outputBytes).toBe(40_000);
        expect(output.endsWith('x\nx\n')).toBe(true);
      });

      it('T60: answers a program that asks for input with its end', async () => {
        expect(await run('read -r line; echo "code $?"; cat; echo end')).toMatchObject({
          output: 'code 1\nend\n',
        });
      });

      it('lets a command write to /dev/stdout and /dev/stderr', async () => {
        expect(
          (await run('echo a >>/dev/stdout; echo b >>/dev/stderr; echo c | tee -a /dev/stderr'))
            .output,
        ).toBe('a\nb\nc\nc\n');
      });
    });

    describe('what lasts from one command to the next', () => {
      async function session(...commands: string[]) {
        let shell: ShellState = INITIAL_SHELL;
        let last: Awaited<ReturnType<Sandbox['run']>> | undefined;
        for (const command of commands) {
          last = await run(command, { shell });
          shell = last.shell;
        }
        return last as Awaited<ReturnType<Sandbox['run']>>;
      }

      it('starts in the repository', async () => {
        expect(await run('pwd')).toMatchObject({
          output: '/testbed\n',
          shell: { cwd: '/testbed' },
        });
      });

      it.each([
        ['the working directory', ['mkdir -p deep/er && cd deep/er', 'pwd'], '/testbed/deep/er\n'],
        [
          'a directory with a newline in its name',
          [`mkdir -p $'a\\nb' && cd $'a\\nb'`, 'pwd'],
          '/testbed/a\nb\n',
        ],
        [
          'exported variables',
          ['export GREETING="hello  world"', 'echo "$GREETING"'],
          'hello  world\n',
        ],
        [
          'quotes, newlines and dollars in a variable',
          [`export V=$'a\\'b"c\\n$(x)\\\\'`, 'printf %s "$V"'],
          `a'b"c\n$(x)\\`,
        ],
        ['that a variable was unset', ['unset LANG', 'echo "${LANG-none}"'], 'none\n'],
        ['`cd -`', ['mkdir -p one && cd one', 'cd /testbed', 'cd -'], '/testbed/one\n'],
        ['the state after `exit`', ['mkdir -p two; cd two; exit 3', 'pwd'], '/testbed/two\n'],
        [
          'the state after a failure under `set -eu`',
          ['set -eu; export KEPT=1; false', 'echo "$KEPT"'],
          '1\n',
        ],
        [
          'the state when the command has its own EXIT trap',
          ['trap "echo bye" EXIT; export T=2', 'echo "$T"'],
          '2\n',
        ],
        [
          'the state after an `exit` with an EXIT trap of its own',
          ['trap "echo bye" EXIT; cd /tmp; export T=3; exit 1', 'echo "$T"; pwd'],
          '3\n/tmp\n',
        ],
        [
          'the state when a DEBUG trap prints',
          ['trap "echo debug" DEBUG; cd /tmp; export T=4', 'echo "$T"; pwd'],
          '4\n/tmp\n',
        ],
        [
          'the state when builtins are covered and turned off',
          [
            'builtin() { echo no; }; declare() { echo no; }; enable -n printf cd; export T=5; cd() { command cd "$@"; }',
            'echo "$T"',
          ],
          '5\n',
        ],
        [
          'the folder, and the variables as they were, where those would be more than 256 KB',
          [
            'export T=6',
            `cd /tmp; export T=7 A=$(head -c 130000 /dev/zero | tr '\\0' x); export B=$A C=$A`,
            'echo "$T"; pwd',
          ],
          '6\n/tmp\n',
        ],
      ])('keeps %s', async (_what, commands, output) => {
        expect((await session(...commands)).output).toBe(output);
      });

      it.each([
        ['set -euo pipefail', 'ok\n'],
        ['exit 3', 'ok\n'],
        ['exec true', 'ok\n'],
        ['exec >/dev/null 2>&1', 'ok\n'],
        ['exec 1>&- 2>&-', 'ok\n'],
        ['PS1=; PS4=; PROMPT_COMMAND=exit', 'ok\n'],
        ['unset PATH', 'ok\n'],
        ['export PATH=/nowhere', 'ok\n'],
        ['kill -9 $$', 'ok\n'],
        ['set -C -f -n', 'ok\n'],
        ['set -x', 'ok\n'],
        ['readonly HOME', 'ok\n'],
        ['IFS=o; export IFS', 'ok\n'],
        ['printf() { exit 9; }; pwd() { exit 9; }; export -f printf pwd', 'ok\n'],
        ['export BASH_ENV=/nowhere ENV=/nowhere SHELLOPTS', 'ok\n'],
        ['mkdir -p gone; cd gone; rmdir ../gone', 'ok\n'],
      ])('F6: goes on after %s', async (command, output) => {
        expect((await session(command, 'echo ok')).output).toBe(output);
      });

      it.each([
        ['set -x; echo hi', '++ echo hi\nhi\n'],
        ['set -x; echo hi; exit 3', '++ echo hi\nhi\n++ exit 3\n'],
        ['set -x; (exit 3)', '++ exit 3\n'],
        [`set -x; trap 'echo bye' EXIT; exit 3`, `++ trap 'echo bye' EXIT\n++ exit 3\nbye\n`],
        ['set -xe; false', '++ false\n'],
      ])(
        'says with tracing what the command did and nothing of ours: %s',
        async (command, output) => {
          expect((await session(command)).output).toBe(output);
        },
      );

      it('keeps the previous state where a command leaves none', async () => {
        const { shell } = await session('export A=1', 'cd /; exec true');
        expect(shell).toEqual({ cwd: '/testbed', env: expect.objectContaining({ A: '1' }) });
      });

      it('does not keep functions, aliases and plain variables', async () => {
        expect(
          (await session('f() { :; }; plain=1', 'type f >/dev/null 2>&1; echo "$? ${plain-none}"'))
            .output,
        ).toBe('1 none\n');
      });
    });

    describe('time', () => {
      it('ends a command at its limit and returns what it wrote until then', async () => {
        const started = Date.now();
        const result = await run('echo before; sleep 60; echo after', { timeoutMs: 700 });
        expect(result).toMatchObject({ end: 'timed-out', exitCode: null, output: 'before\n' });
        expect(Date.now() - started).toBeLessThan(5000);
        expect(result.durationMs).toBeGreaterThan(600);
      });

      it('answers the same request with the first result', async () => {
        const request = {
          id: 'asked-twice',
          shell: INITIAL_SHELL,
          timeoutMs: 10_000,
          maxOutputBytes: 1000,
        };
        const first = await sandbox.run({ ...request, command: 'echo run >>count; wc -l <count' });
        const second = await sandbox.run({ ...request, command: 'echo run >>count; wc -l <count' });
        expect(second).toEqual(first);
        expect((await run('cat count')).output).toBe('run\n');
      });

      it('is not held up by a process left in the background', async () => {
        const result = await run('echo started; sleep 30 & disown', { timeoutMs: 20_000 });
        expect(result).toMatchObject({ end: 'exited', exitCode: 0, output: 'started\n' });
        expect(result.durationMs).toBeLessThan(5000);
      });
    });

    describe('its end', () => {
      it('runs nothing more once it is stopped', async () => {
        const other = await start();
        await other.stop();
        await expect(
          other.run({
            id: 'late',
            command: 'true',
            shell: INITIAL_SHELL,
            timeoutMs: 1000,
            maxOutputBytes: 100,
          }),
        ).rejects.toThrow(SandboxLost);
        await expect(other.readFile('/testbed/x', 1)).rejects.toThrow(SandboxLost);
        await other.stop();
        await other.close();
        await other.close();
        await expect(
          other.run({
            id: 'later',
            command: 'true',
            shell: INITIAL_SHELL,
            timeoutMs: 1000,
            maxOutputBytes: 100,
          }),
        ).rejects.toThrow(SandboxLost);
      });
    });
  });
}

// --- internal ---

function plainBash(snippet: string): { output: string; exitCode: number } {
  // One pipe for both streams, as in a sandbox; the code comes last, behind a byte that no snippet prints.
  const all = execFileSync(
    'bash',
    [
      '--noprofile',
      '--norc',
      '-c',
      `bash -c "$1" 2>&1 </dev/null; printf '\\004%s' "$?"`,
      'bash',
      snippet,
    ],
    {
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LANG: 'C.UTF-8', HOME: '/nonexistent' },
      encoding: 'utf8',
    },
  );
  const at = all.lastIndexOf('\u0004');
  return { output: all.slice(0, at), exitCode: Number(all.slice(at + 1)) };
}
