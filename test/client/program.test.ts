import { describe, expect, it } from 'vitest';
import { CliError, describeError, EXIT } from '../../client/errors.ts';
import { RepositoryError } from '../../repository/repository-error.ts';
import { runCli } from '../support/cli.ts';

describe('help', () => {
  it('lists every command of the design, with examples and exit codes', async () => {
    const { exitCode, stdout, stderr } = await runCli(['--help']);
    expect(exitCode).toBe(0);
    expect(stderr).toBe('');
    const commands = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name);
    expect(commands).toEqual(
      expect.arrayContaining(
        'demo init doctor functions plan run status pause resume retry cancel tune show stats recall export up down worker'.split(
          ' ',
        ),
      ),
    );
    expect(stdout).toContain('Examples:');
    expect(stdout).toContain('Exit codes: 0 done, 1 failed, 2 usage, 3 configuration');
  });

  it.each(['init', 'functions', 'plan', 'stats', 'recall'])(
    'of %s has an example',
    async (command) => {
      const { exitCode, stdout } = await runCli([command, '--help']);
      expect(exitCode).toBe(0);
      expect(stdout).toContain(`  $ twinpatch ${command}`);
      expect(stdout).toContain('JSON');
    },
  );

  it('of recall says what it measures and prints', async () => {
    expect((await runCli(['recall', '--help'])).stdout).toMatchInlineSnapshot(`
      "Usage: twinpatch recall [options] [target] [produced]

      Share of the target patch's changed lines that the produced patch contains: \`exact\` reads the diffs'
      structure, \`sera\` gives what the reference implementation gives.

      Arguments:
        target      file of the target patch, \`-\` for stdin
        produced    file of the produced patch, \`-\` for stdin

      Options:
        --json      print {exact, sera} as JSON
        --jsonl     read {id, target, produced} lines from stdin, print {id, exact, sera} lines
        -h, --help  show help

      Examples:
        $ twinpatch recall target.patch produced.patch
        $ git diff | twinpatch recall target.patch - --json
        $ twinpatch recall --jsonl < pairs.jsonl > recalls.jsonl

      Each of exact and sera: {recall, precision, f1, matched, targetLines, producedLines}; null where undefined.
      "
    `);
  });

  it('prints the version of the package', async () => {
    expect((await runCli(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('usage errors', () => {
  it.each([
    [[], '', /^Usage: twinpatch/],
    [['recal'], "error: unknown command 'recal'\nnext: did you mean recall?\n", undefined],
    [['xyz'], "error: unknown command 'xyz'\nnext: see `twinpatch --help`\n", undefined],
    [
      ['recall', 'a', 'b', '--jsn'],
      "error: unknown option '--jsn'\nnext: did you mean --json?\n",
      undefined,
    ],
    [
      ['recall', 'a', 'b', 'c'],
      "error: too many arguments for 'recall'. Expected 2 arguments but got 3.\nnext: see `twinpatch recall --help`\n",
      undefined,
    ],
    [
      ['recall', 'a'],
      'error: two patches are needed — TARGET and PRODUCED\nnext: twinpatch recall TARGET PRODUCED, or twinpatch recall --jsonl\n',
      undefined,
    ],
    [
      ['recall', '-', '-'],
      'error: both patches are `-` — stdin can be one of them\nnext: give a file for the other one\n',
      undefined,
    ],
    [
      ['plan', '-n', 'ten'],
      "error: option '-n, --samples <count>' argument 'ten' is invalid. Give a whole number from 1.\nnext: see `twinpatch plan --help`\n",
      undefined,
    ],
    [
      ['plan\u001b[31m'],
      "error: unknown command 'plan'\nnext: see `twinpatch --help`\n",
      undefined,
    ],
  ])('%j ends with 2 and says what to do', async (args, stderr, pattern) => {
    const run = await runCli(args);
    expect(run.exitCode).toBe(2);
    expect(run.stdout).toBe('');
    if (pattern) expect(run.stderr).toMatch(pattern);
    else expect(run.stderr).toBe(stderr);
  });
});

describe('errors', () => {
  it.each([
    [
      new CliError(EXIT.budgetReached, 'the budget is reached — $25.00', { next: 'raise it' }),
      4,
      'error: the budget is reached — $25.00\nnext: raise it\n',
    ],
    [
      new RepositoryError('unknown-commit', 'No commit \u001b[2Jmain. List them.'),
      1,
      'error: No commit main. List them.\n',
    ],
    [
      new TypeError('x is not a function'),
      1,
      'error: this is a bug in twinpatch — x is not a function\nnext: run it again with TWINPATCH_DEBUG=1 to see where, and report it\n',
    ],
  ])('%s is told without a trace', (error, exitCode, text) => {
    expect(describeError(error, { debug: false })).toEqual({ exitCode, text });
  });

  it('have a trace and their causes when debugging', () => {
    const cause = new Error('inner');
    const { text } = describeError(new TypeError('outer', { cause }), { debug: true });
    expect(text).toMatch(/outer\n +at .*\ncaused by: Error: inner/s);
  });
});
