import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BATCH, fillStore } from '../../bench/finished-store.ts';
import { runCli } from '../support/cli.ts';
import { makeTarget } from '../support/target-folder.ts';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'twinpatch-export-'));
  await fillStore(join(home, 'store'), 20, new AbortController().signal);
});
afterAll(() => rm(home, { recursive: true }));

const run = (...options: string[]) =>
  runCli(
    [
      'export',
      BATCH,
      '--store',
      join(home, 'store'),
      '--out',
      'rows',
      '--min-recall',
      '0',
      ...options,
    ],
    { cwd: home },
  );

describe('export --tokenizer', () => {
  it('renders every row, counts tokens, and shows what of the first row is trained', async () => {
    await makeTarget(home, 'qwen');
    const { exitCode, stdout, stderr } = await run('--tokenizer', 'qwen');
    expect(stderr).toBe('');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(
      /rendered 4 rows: \d+ tokens, \d+ % of them trained; the longest row has \d+/,
    );
    expect(stdout).toMatch(/^ *\d+ +trained +<tool_call> \{"name": "bash".*<\|im_end\|>$/m);
    expect(stdout).toMatch(/^ *\d+ +<\|im_start\|>system You repair/m);
    expect(stdout).toContain('every row passes the check');
  });

  it('refuses a pair that loses something, with the reason and the format that works', async () => {
    await makeTarget(home, 'chatml');
    const { exitCode, stdout, stderr } = await run(
      '--tokenizer',
      'chatml',
      '--format',
      'openai',
      '--json',
    );
    expect(exitCode).toBe(1);
    expect(stderr).toContain(
      't1.SIMULATED.jsonl:1: the chat template drops 2 of 2 calls, the first in turn 2',
    );
    expect(stderr).toContain(
      'this chat template keeps all of it with --format hermes, or with --format xml',
    );
    expect(JSON.parse(stdout)).toMatchObject({ rendering: { rows: 4, isLossy: true } });
  });

  it('names what is missing in the folder before it writes a row, and leaves the rows of before', async () => {
    await run();
    const before = await readFile(join(home, 'rows', 'manifest.json'), 'utf8');
    const { exitCode, stderr } = await run('--tokenizer', 'nowhere', '--format', 'xml');
    expect(exitCode).toBe(1);
    expect(stderr).toContain("tokenizer.json can't be read");
    expect((await run('--tokenizer', 'qwen', '--format', 'sharegpt')).stderr).toContain(
      'export hermes, xml or openai',
    );
    expect(await readFile(join(home, 'rows', 'manifest.json'), 'utf8')).toBe(before);
  });
});

describe('export', () => {
  it.each([
    [['--where', 'recal >= 0.5'], 'there is no fact `recal`; the nearest is `recall`'],
    [['--where', 'recall'], 'is no condition'],
    [['--distinct-patches', '0.3'], 'Give a number from 0.5 to 1.'],
    [['--held-out', '2'], 'Give a number from 0 to 1.'],
    [['--end-status', 'done'], 'Give one of submitted, step-limit'],
    [['--prefer', 'file'], 'file is a text'],
    [['--t1-rows', '-1'], 'Give a whole number from 0.'],
  ])('with %j is a mistake of usage, told with what would be right', async (args, message) => {
    const { exitCode, stderr } = await runCli(['export', 'headers', ...args]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(message);
  });

  it('lists the facts that can be asked for', async () => {
    const { stdout } = await runCli(['export', '--help']);
    expect(stdout).toMatch(/Facts for --where.*keptRatio.*patchLines/s);
  });
});
