import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Estimate } from '../../client/estimate.ts';
import { loadConfig } from '../../client/load-config.ts';
import { nameFrom } from '../../client/starter-config.ts';
import type { BatchRecord } from '../../domain/store.ts';
import { openStore } from '../../store/open.ts';
import { toBatch, toEnd, toSample } from '../support/batch-fixture.ts';
import { runCli } from '../support/cli.ts';
import { toRolloutResult } from '../support/fake-results.ts';
import { createFolder, PYTHON_FILES } from '../support/repository-folder.ts';

let project: Awaited<ReturnType<typeof createFolder>>;
let elsewhere: Awaited<ReturnType<typeof createFolder>>;
beforeEach(async () => {
  project = await createFolder(PYTHON_FILES);
  elsewhere = await createFolder({});
});
afterEach(async () => {
  await project.remove();
  await elsewhere.remove();
});

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

describe('functions', () => {
  it('prints every function as a line of JSON, keys in order, without a configuration', async () => {
    const run = await runCli(['functions', project.folder, '--json'], { cwd: elsewhere.folder });
    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(run.stdout).toMatchInlineSnapshot(`
      "{"file":"kit/io/files.py","name":"Reader.read","kind":"method","language":"python","startLine":2,"endLine":5,"eligible":true,"reason":null}
      {"file":"kit/text.py","name":"wrap","kind":"function","language":"python","startLine":1,"endLine":5,"eligible":true,"reason":null}
      {"file":"kit/text.py","name":"short","kind":"function","language":"python","startLine":8,"endLine":9,"eligible":false,"reason":"too short"}
      {"file":"tests/test_text.py","name":"test_wrap","kind":"function","language":"python","startLine":1,"endLine":5,"eligible":false,"reason":"test"}
      "
    `);
  });

  it('shows counts by language and by reason', async () => {
    const run = await runCli(['functions'], { cwd: project.folder });
    expect(run.stdout.split('\n').slice(1).join('\n')).toMatchInlineSnapshot(`
      "
      language  found  eligible
      python        4         2
      all           4         2

      not eligible  functions
      too short             1
      test                  1
      "
    `);
  });

  it('obeys the nearest configuration when no path is given', async () => {
    await writeFile(
      join(project.folder, 'twinpatch.yaml'),
      'name: a\nrepository: { exclude: ["kit/io"] }\ntargets: { minLines: 1 }\nteacher: { scripted: {} }\n',
    );
    const reasons = async (...args: string[]) =>
      (await runCli(['functions', '--json', ...args], { cwd: project.folder })).stdout
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { reason: string | null }).reason);
    expect(await reasons()).toEqual(['excluded', null, null, 'test']);
    expect(await reasons('--set', 'targets.minLines=3')).toEqual([
      'excluded',
      null,
      'too short',
      'test',
    ]);
    expect(await reasons(project.folder)).toEqual([null, null, 'too short', 'test']);
    expect(await reasons(project.folder, '--config', 'twinpatch.yaml')).toEqual(await reasons());
  });

  it('says in one line what is left out for one reason, and prints names of any bytes as text', async () => {
    const source = 'def f(x):\n    a\n    b\n    return x\n';
    const wide = Buffer.from(source, 'utf16le');
    for (const name of ['a', 'b', 'c', 'd'])
      await writeFile(join(project.folder, `${name}.py`), Buffer.concat([Buffer.of(0xff), wide]));
    const odd = Buffer.concat([Buffer.from(`${project.folder}/`), Buffer.from([0x65, 0xff])]);
    await writeFile(Buffer.concat([odd, Buffer.from('.py')]), source);
    const run = await runCli(['functions', project.folder, '--json']);
    expect(run.stderr).toBe(
      'left out: a.py, b.py, c.py, … (4 files): it is no text that is searched: binary, or UTF-16\n',
    );
    const [first = ''] = run.stdout.split('\n');
    expect(first).toContain('"file":"e\ufffd.py","name":"f"');
    expect(first).toContain('"reason":"unprintable path"');
  });

  it('ends with 1 and a reason for what is no repository or commit', async () => {
    const missing = await runCli(['functions', './none'], { cwd: elsewhere.folder });
    expect(missing).toMatchObject({ exitCode: 1, stdout: '' });
    expect(missing.stderr).toContain('none is not there');
    const commit = await runCli(['functions', project.folder, '--commit', 'v9']);
    expect(commit).toMatchObject({ exitCode: 1, stdout: '' });
    expect(commit.stderr).toContain('"v9" names nothing');
  });
});

describe('init', () => {
  const init = (...args: string[]) => runCli(['init', ...args], { cwd: elsewhere.folder });
  const written = () => readFile(join(elsewhere.folder, 'twinpatch.yaml'), 'utf8');

  it('writes a configuration that loads, with the schema for editors beside it', async () => {
    const run = await init(project.folder, '--yes');
    expect(run.exitCode).toBe(0);
    expect(run.stdout).toContain('4 functions found, 2 eligible');
    expect(run.stderr).toBe('next: give the teacher in it, then twinpatch plan\n');
    const { config } = await loadConfig({ sets: [], cwd: elsewhere.folder });
    expect(config.repository.source).toBe(project.folder);
    const [first = ''] = (await written()).split('\n');
    const schema = /^# yaml-language-server: \$schema=(.+)$/.exec(first)?.[1] ?? '';
    const text = await readFile(join(elsewhere.folder, schema), 'utf8');
    expect(JSON.parse(text)).toMatchObject({ title: 'twinpatch.yaml', type: 'object' });
  });

  it('tells what it saw, and suggests a set-up that is valid as well', async () => {
    await init(project.folder, '--yes');
    const text = await written();
    expect(
      text
        .slice(text.indexOf('repository:'), text.indexOf('targets:'))
        .replace(project.folder, 'PROJECT'),
    ).toMatchInlineSnapshot(`
      "repository:
        # 4 functions (python 4), 2 eligible
        source: "PROJECT"
        commits: [HEAD]
        # eligible by folder: kit 2
        # include: ["kit/**"]
        # exclude: ["examples/**"]

      environment:
        image: twinpatch/base:bookworm
        # pyproject.toml is there, so this may fit; an image that has the tools saves time:
        # image: "python:3.12-slim"
        # setup: ["pip install -e ."]

      "
    `);
    await writeFile(
      join(elsewhere.folder, 'twinpatch.yaml'),
      text
        .replace('  image: twinpatch/base:bookworm\n', '')
        .replaceAll(/^( *)# (image|setup|include|exclude|price|budget):/gm, '$1$2:'),
    );
    const { config } = await loadConfig({ sets: [], cwd: elsewhere.folder });
    expect(config.environment).toMatchObject({
      image: 'python:3.12-slim',
      setup: ['pip install -e .'],
    });
    expect(config.repository.include).toEqual(['kit/**']);
    expect(config.budget.maxCostUsd).toBe(25);
  });

  it('overwrites nothing unless told to', async () => {
    await writeFile(join(elsewhere.folder, 'twinpatch.yaml'), 'mine\n');
    const run = await init(project.folder, '--yes');
    expect(run).toMatchObject({ exitCode: 1, stdout: '' });
    expect(run.stderr).toMatch(
      /twinpatch\.yaml is there already — it is not overwritten\nnext: twinpatch init --force replaces it\n$/,
    );
    expect(await written()).toBe('mine\n');
    expect((await init(project.folder, '--yes', '--force')).exitCode).toBe(0);
    expect(await written()).toContain('repository:');
  });

  it('prints what it found as JSON', async () => {
    const { stdout } = await init(project.folder, '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      path: join(elsewhere.folder, 'twinpatch.yaml'),
      repository: project.folder,
      functions: { found: 4, eligible: 2, reasons: { 'too short': 1, test: 1 } },
      languages: [{ language: 'python', found: 4, eligible: 2 }],
      folders: { kit: 2 },
      setup: { file: 'pyproject.toml' },
    });
  });

  it('writes nothing for what is no repository', async () => {
    expect((await init('./none', '--yes')).exitCode).toBe(1);
    expect(await isThere(join(elsewhere.folder, 'twinpatch.yaml'))).toBe(false);
  });

  it('lets no name of a repository out of its comment', async () => {
    const hostile = await createFolder({
      'a\nname: evil\n#/b.py': 'def f(a):\n    b = a\n    c = b\n    return c\n',
    });
    await init(hostile.folder, '--yes');
    const { config } = await loadConfig({ sets: [], cwd: elsewhere.folder });
    expect(config.name).not.toBe('evil');
    await hostile.remove();
  });

  it.each([
    ['/home/me/code/My Project', 'my-project'],
    ['https://host/team/tool.git', 'tool'],
    ['git@host:team/Tool.git', 'tool'],
    ['/srv/.hidden/', 'hidden'],
    ['/', 'batch'],
    ['/srv/漢字', 'batch'],
  ])('names the batch of %s %s', (source, name) => {
    expect(nameFrom(source)).toBe(name);
  });
});

describe('plan', () => {
  const configure = (extra = '') =>
    writeFile(
      join(project.folder, 'twinpatch.yaml'),
      `name: kit\ntargets: { samples: 5 }\nteacher:\n  endpoints: [{ baseUrl: "http://127.0.0.1:9/v1", model: m }]\n${extra}`,
    );
  const plan = (...args: string[]) => runCli(['plan', ...args], { cwd: project.folder });

  it('counts functions, rounds, folders and languages, and stores nothing', async () => {
    await configure();
    const { exitCode, stdout } = await plan('--json');
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      name: 'kit',
      functions: { found: 4, eligible: 2, reasons: { 'too short': 1, test: 1 } },
      samples: 5,
      rounds: 3,
      directories: { kit: expect.any(Number), 'kit/io': expect.any(Number) },
      languages: { python: 5 },
      estimate: { rollouts: [10, 20], costUsd: null },
    });
    expect(await isThere(join(project.folder, '.twinpatch'))).toBe(false);
  });

  it('estimates cost from the price, as a band that it calls an estimate', async () => {
    await configure('  price: { input: 0.6, cachedInput: 0.11, output: 2.2 }\n');
    const { stdout } = await plan('-n', '1000', '--json');
    const perRollout = (24_000 * 0.6 + 750_000 * 0.11 + 7_700 * 2.2) / 1e6;
    const { estimate } = JSON.parse(stdout) as { estimate: { costUsd: [number, number] } };
    expect(estimate.costUsd[0]).toBeCloseTo(2000 * perRollout);
    expect(estimate.costUsd[1]).toBeCloseTo(4000 * perRollout);
    const shown = (await plan('-n', '1000')).stdout;
    expect(shown).toContain('Estimate, not a promise:');
    expect(shown).toContain('cost          $227.68 to $455.36');
  });

  it('shows cost as unpriced, never as 0', async () => {
    await configure();
    expect((await plan()).stdout.split('\n').slice(3).join('\n')).toMatchInlineSnapshot(`
      "functions     4 found, 2 eligible
      left out      1 too short, 1 test
      samples       5 in 3 rounds

      folder  samples
      kit/io        3
      kit           2

      language  samples
      python          5

      Estimate, not a promise:
      input tokens  7.7M to 15.5M, most of them cached
      output tokens 77k to 154k
      time          0.2 to 0.4 hours
      cost          unpriced: set teacher.price
      basis         2 to 4 rollouts a sample; per rollout 35 calls of 10 s, 24k new and 750k cached input tokens, 7.7k output tokens; 5 samples at once
      "
    `);
  });

  it('estimates from samples that have ended before, the nearer ones first', async () => {
    await configure('  price: { input: 1, cachedInput: 0.1, output: 2 }\n');
    const { config } = await loadConfig({ cwd: project.folder, sets: [] });
    const store = await openStore(config.store);
    const ended = async (batch: BatchRecord, samples: number, million: number) => {
      await store.batches.put(batch);
      for (let index = 0; index < samples; index += 1) {
        const key = toSample(index).key;
        const name = 'rollout-1.1-aa';
        const rollout = { ...toRolloutResult('rollout-1.1', 'r'), wallMs: 600_000 };
        await store.ledger.put({ batchId: batch.id, sampleKey: key, name }, rollout);
        const usage = {
          inputTokens: million * 1e6,
          cachedInputTokens: million * 0.8e6,
          outputTokens: million * 1e5,
          reasoningTokens: 0,
        };
        const isVerified = index === 0;
        await store.ends.record(
          batch.id,
          toEnd(key, {
            spent: { usage, costUsd: null },
            results: { 'rollout-1': name },
            ...(isVerified
              ? { recall: { exact: 0.9, sera: 0.9 } }
              : { verdict: { kind: 'unverifiable', reason: 'self-check' } }),
          }),
        );
      }
    };
    const estimateOf = async () =>
      (JSON.parse((await plan('-n', '100', '--json')).stdout) as { estimate: Estimate }).estimate;
    const teacher = { endpoints: [{ baseUrl: 'http://elsewhere/v1', model: 'm' }] };
    await ended(toBatch('far', store.id, { teacher }), 1, 4);
    await ended(toBatch('simulated', store.id), 1, 9);
    expect(await estimateOf()).toMatchObject({
      inputTokens: [200e6, 800e6],
      accepted: [50, 100],
      basis: expect.stringMatching(/^1 sample of far \(the same model\): 1\.0 rollouts of 600 s/),
    });
    const preview = { ...toBatch('p', store.id), id: 'kit-preview-0a1b2c', config };
    await ended(preview, 4, 2);
    const estimate = await estimateOf();
    // A factor of 1.5: 4 samples. Each costs 0.4 + 0.16 + 0.4 USD.
    expect(estimate.costUsd?.[0]).toBeCloseTo(96 / 1.5);
    expect(estimate.costUsd?.[1]).toBeCloseTo(96 * 1.5);
    expect(estimate.hours[1]).toBeCloseTo((100 * 600 * 1.5) / 32 / 3600);
    expect(estimate.accepted).toEqual([17, 38]);
    expect((await plan()).stdout).toContain(
      '4 samples of the preview of the same configuration: 1.0 rollouts of 600 s a sample; within a factor of 1.50',
    );
  });

  it('says why nothing can be planned', async () => {
    await configure('repository: { include: ["none/**"] }\n');
    const run = await plan();
    expect(run).toMatchObject({ exitCode: 1, stdout: '' });
    expect(run.stderr).toContain('No function is eligible: 4 functions were found: 4 excluded.');
  });

  it('asks for a configuration', async () => {
    const run = await runCli(['plan'], { cwd: elsewhere.folder });
    expect(run.exitCode).toBe(3);
    expect(run.stderr).toContain('next: twinpatch init\n');
  });
});
