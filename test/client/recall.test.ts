import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerLines } from '../../client/recall-lines.ts';
import { runCli } from '../support/cli.ts';

const patch = (...lines: string[]) =>
  `diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1,1 +1,${lines.length + 1} @@\n x\n${lines.map((line) => `+${line}\n`).join('')}`;

const TARGET = patch('one', 'two', 'three', 'four');
const PRODUCED = patch('one', 'two', 'five', 'six', 'seven', 'eight', 'nine', 'ten');
const FIGURES = {
  recall: 0.5,
  precision: 0.25,
  f1: 1 / 3,
  matched: 2,
  targetLines: 4,
  producedLines: 8,
};
const line = (id: unknown, target: unknown = TARGET, produced: unknown = PRODUCED) =>
  `${JSON.stringify({ id, target, produced })}\n`;

const jsonLines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((each) => JSON.parse(each) as Record<string, unknown>);

describe('recall TARGET PRODUCED', () => {
  let cwd = '';
  beforeAll(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'twinpatch-recall-'));
    await writeFile(join(cwd, 'target.patch'), TARGET);
    await writeFile(join(cwd, 'produced.patch'), PRODUCED);
    await writeFile(join(cwd, 'empty.patch'), '');
    await writeFile(join(cwd, 'latin1.patch'), Buffer.from(patch('caf\xe9', 'caf\xe8'), 'latin1'));
    await writeFile(join(cwd, 'other1.patch'), Buffer.from(patch('caf\xe9', 'caf\xea'), 'latin1'));
  });
  afterAll(() => rm(cwd, { recursive: true }));

  it('prints both modes as JSON, with keys in order', async () => {
    const run = await runCli(['recall', 'target.patch', 'produced.patch', '--json'], { cwd });
    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(run.stdout).toBe(`${JSON.stringify({ exact: FIGURES, sera: FIGURES })}\n`);
  });

  it('reads one of them from stdin', async () => {
    const args = ['recall', 'target.patch', '-', '--json'];
    const run = await runCli(args, { cwd, stdin: [PRODUCED] });
    expect(JSON.parse(run.stdout)).toEqual({ exact: FIGURES, sera: FIGURES });
  });

  it('shows a table', async () => {
    const run = await runCli(['recall', 'target.patch', 'produced.patch'], { cwd });
    expect(run.stdout).toMatchInlineSnapshot(`
      "mode   recall  precision  f1      matched  target lines  produced lines
      exact  0.5000  0.2500     0.3333        2             4               8
      sera   0.5000  0.2500     0.3333        2             4               8
      "
    `);
  });

  it('says when recall is undefined', async () => {
    const run = await runCli(['recall', 'empty.patch', 'produced.patch'], { cwd });
    expect(run.exitCode).toBe(0);
    expect(run.stdout).toContain('Recall is undefined: the target patch has no line that counts.');
  });

  it('keeps lines of other encodings apart', async () => {
    const run = await runCli(['recall', 'latin1.patch', 'other1.patch', '--json'], { cwd });
    expect(JSON.parse(run.stdout)).toMatchObject({ exact: { matched: 1, targetLines: 2 } });
  });

  it('names a file that is not there', async () => {
    const run = await runCli(['recall', 'none.patch', 'produced.patch'], { cwd });
    expect(run.exitCode).toBe(1);
    expect(run.stderr).toBe("error: none.patch can't be read — it is not there\n");
  });
});

describe('recall --jsonl', () => {
  const run = (...stdin: (string | Uint8Array)[]) => runCli(['recall', '--jsonl'], { stdin });

  it('answers every line in order', async () => {
    const { exitCode, stdout, stderr } = await run(line('b'), line('a'), line(7));
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toBe(
      ['b', 'a', 7]
        .map((id) => `${JSON.stringify({ id, exact: FIGURES, sera: FIGURES })}\n`)
        .join(''),
    );
  });

  it('gives null where a figure is undefined, and 0 for f1 when both are 0', async () => {
    const { stdout } = await run(
      line('t', ''),
      line('p', TARGET, ''),
      line('0', patch('a'), patch('b')),
    );
    expect(jsonLines(stdout).map(({ exact }) => exact)).toEqual([
      { recall: null, precision: 0, f1: null, matched: 0, targetLines: 0, producedLines: 8 },
      { recall: 0, precision: null, f1: null, matched: 0, targetLines: 4, producedLines: 0 },
      { recall: 0, precision: 0, f1: 0, matched: 0, targetLines: 1, producedLines: 1 },
    ]);
  });

  it.each([
    ['no JSON', 'nonsense\n', null, /^the line is not JSON: /],
    ['a JSON value', '3\n', null, 'the line is no JSON object'],
    ['null', 'null\n', null, 'the line is no JSON object'],
    ['a list', '[1]\n', null, 'the line is no JSON object'],
    ['no id', line(undefined), null, '`id` is missing; expected a text or a number'],
    ['a strange id', line({ a: 1 }), null, '`id` is of another type; expected a text or a number'],
    ['no target', '{"id": "x", "produced": ""}\n', 'x', '`target` is missing; expected a text'],
    ['a null target', line('x', null), 'x', '`target` is of another type; expected a text'],
    ['no produced', '{"id": 3, "target": ""}\n', 3, '`produced` is missing; expected a text'],
    [
      'bytes that are no UTF-8',
      Buffer.from('{"id":"\xff"}\n', 'latin1'),
      null,
      'the line is not UTF-8',
    ],
  ])(
    'answers a line with %s with its error, goes on, and ends with 1',
    async (_, bad, id, error) => {
      const { exitCode, stdout, stderr } = await run(line('first'), bad, line('last'));
      const [first, answer, last] = jsonLines(stdout);
      expect(exitCode).toBe(1);
      expect([first?.['id'], last?.['id']]).toEqual(['first', 'last']);
      expect(Object.keys(answer ?? {})).toEqual(['id', 'error']);
      expect(answer?.['id']).toBe(id);
      if (typeof error === 'string') expect(answer?.['error']).toBe(error);
      else expect(answer?.['error']).toMatch(error);
      expect(stderr).toContain('line 2: ');
      expect(stderr).toContain('error: 1 of 3 lines could not be compared — see above\n');
    },
  );

  it('reads lines however they are cut, without a last line break, and with Windows ends', async () => {
    const bytes = Buffer.from(line('é漢👩', patch('é漢👩'), patch('é漢👩')).trimEnd());
    const single = [...bytes].map((byte) => Uint8Array.of(byte));
    const { exitCode, stdout } = await run(...single, '\r\n', '\n', ...single);
    expect(exitCode).toBe(0);
    expect(jsonLines(stdout).map(({ id, exact }) => [id, exact])).toEqual(
      Array.from({ length: 2 }, () => ['é漢👩', expect.objectContaining({ recall: 1 })]),
    );
  });

  it.each([2, 7, 100, 400])(
    'reads lines that begin in the middle of chunks of %i bytes',
    async (size) => {
      const bytes = Buffer.from([1, 2, 3].map((id) => line(id)).join(''));
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      );
      const { exitCode, stdout } = await run(...chunks);
      expect(exitCode).toBe(0);
      expect(jsonLines(stdout).map(({ id }) => id)).toEqual([1, 2, 3]);
    },
  );

  it('prints nothing for no input', async () => {
    expect(await run()).toEqual({ exitCode: 0, stdout: '', stderr: '' });
  });

  it('stands alone', async () => {
    expect((await runCli(['recall', 'a', 'b', '--jsonl'])).exitCode).toBe(2);
    expect((await runCli(['recall', '--jsonl', '--json'])).exitCode).toBe(2);
  });

  it('refuses a line beyond the cap, whatever its chunks, and goes on', async () => {
    async function* input() {
      yield `{"id": "long", "target": "${'x'.repeat(60)}`;
      yield 'x'.repeat(60);
      yield '"}\n{"id":1,"target":"","produced":""}\n';
    }
    const answers = [];
    for await (const answer of answerLines(input(), 100)) answers.push(answer);
    expect(answers).toMatchObject([
      { line: 1, answer: { id: null, error: 'the line is longer than 100 bytes' } },
      { line: 2, answer: { id: 1 } },
    ]);
  });

  it('asks for no more input than its answers are taken', async () => {
    let given = 0;
    async function* input() {
      for (;;) {
        given += 1;
        yield line(given);
      }
    }
    const answers = answerLines(input());
    await answers.next();
    await answers.next();
    expect(given).toBe(2);
    await answers.return(undefined);
  });
});
