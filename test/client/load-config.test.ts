import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliError } from '../../client/errors.ts';
import { isLocalSource } from '../../client/config-paths.ts';
import { loadConfig } from '../../client/load-config.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twinpatch-config-'));
});
afterAll(() => rm(folder, { recursive: true }));

const GOOD = 'name: a\nteacher: { scripted: {} }\n';

async function load(text: string | Uint8Array, ...sets: string[]) {
  await writeFile(join(folder, 'twinpatch.yaml'), text);
  return loadConfig({ sets, cwd: folder });
}

/** The problems it is refused with, one a line. */
async function problemsOf(text: string | Uint8Array, ...sets: string[]): Promise<string> {
  const error = await load(text, ...sets).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof CliError)) throw new Error('it was not refused', { cause: error });
  expect(error.exitCode).toBe(3);
  expect(error.next).toBeDefined();
  const [head = '', ...lines] = error.message.split('\n');
  return lines.length === 0 ? head : lines.map((line) => line.trim()).join('\n');
}

describe('a bad twinpatch.yaml is refused with place, key and reason', () => {
  it.each([
    // Text that is no YAML.
    ['name: a\nname: b\n', 'twinpatch.yaml:2:1  name: the key is given twice; keep one'],
    [
      `${GOOD}rollout:\n  maxSteps: 1\n  "maxSteps": 2\n`,
      'twinpatch.yaml:5:3  maxSteps: the key is given twice; keep one',
    ],
    ['teacher:\n\tscripted: {}\n', 'twinpatch.yaml:2:1  tabs cannot indent YAML; use spaces'],
    ['name: "a\n', 'twinpatch.yaml:2:1  not YAML: Missing closing "quote'],
    [
      'name: a\n---\nname: b\n',
      'twinpatch.yaml:2:1  a second document begins here (`---`); keep one',
    ],
    ['name: !secret x\n', 'twinpatch.yaml:1:7  not YAML: Unresolved tag: !secret'],
    ['? [a]\n: b\n', 'twinpatch.yaml:1:3  a key must be plain text'],
    [
      'name: *who\n',
      "twinpatch.yaml:1:1  its aliases can't be resolved: Unresolved alias (the anchor must be set before the alias): who",
    ],
    [
      'a: &a [x,x,x,x,x,x,x,x,x]\n' +
        'b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n',
      "twinpatch.yaml:1:1  its aliases can't be resolved: Excessive alias count indicates a resource exhaustion attack",
    ],
    ['', 'twinpatch.yaml:1:1  the file is empty; `twinpatch init --force` writes a complete one'],
    [
      '- name: a\n',
      'twinpatch.yaml:1:1  expected keys and values; `twinpatch init --force` writes a complete one',
    ],
    // Keys.
    [
      'nmae: a\nteacher: { scripted: {} }\n',
      'twinpatch.yaml:1:1  name: is required\ntwinpatch.yaml:1:1  nmae: unknown key; did you mean `name`?',
    ],
    [
      `${GOOD}rollout:\n  maxStep: 3\n`,
      'twinpatch.yaml:4:3  rollout.maxStep: unknown key; did you mean `maxSteps`?',
    ],
    [
      `${GOOD}rollout: { max_steps: 3 }\n`,
      'twinpatch.yaml:3:12  rollout.max_steps: unknown key; did you mean `maxSteps`?',
    ],
    [
      `${GOOD}maxSteps: 3\n`,
      'twinpatch.yaml:3:1  maxSteps: unknown key here; did you mean `rollout.maxSteps`?',
    ],
    [
      `${GOOD}environment:\n  baseUrl: x\n`,
      'twinpatch.yaml:4:3  environment.baseUrl: unknown key here; did you mean `teacher.endpoints[].baseUrl`?',
    ],
    [
      `${GOOD}budget:\n  quux: 1\n`,
      'twinpatch.yaml:4:3  budget.quux: unknown key; known here: `maxCostUsd`',
    ],
    [
      'name: a\nteacher:\n  scripted: { policies: { reproduces: 1 } }\n',
      'twinpatch.yaml:3:27  teacher.scripted.policies.reproduces: unknown key; did you mean `reproduce`?',
    ],
    [
      'name: a\nteacher:\n  scripted: { policies: { reproduce: 0, partial: 0 } }\n',
      'twinpatch.yaml:3:25  teacher.scripted.policies: gives no behaviour a weight above 0; give one',
    ],
    [
      `${GOOD}__proto__: { x: 1 }\n`,
      'twinpatch.yaml:3:1  __proto__: unknown key; known here: `name`, `repository`, `environment`, `targets`, `teacher`, `rollout`, `prompts`, `verification`, `budget`, `store`',
    ],
    // Values.
    ['name: a\n', 'twinpatch.yaml:1:1  teacher: is required'],
    [
      'name: A b\nteacher: { scripted: {} }\n',
      'twinpatch.yaml:1:7  name: expected lower-case letters, digits, dots, dashes and underscores, at most 64',
    ],
    [`${GOOD}targets:\n`, 'twinpatch.yaml:3:1  targets: has no value; give one or remove the key'],
    [`${GOOD}targets: 200\n`, 'twinpatch.yaml:3:10  targets: expected keys and values, found 200'],
    [
      `${GOOD}targets: { samples: many }\n`,
      'twinpatch.yaml:3:21  targets.samples: expected a number, found "many"',
    ],
    [
      `${GOOD}targets: { samples: 1.5 }\n`,
      'twinpatch.yaml:3:21  targets.samples: expected a whole number, found 1.5',
    ],
    [
      `${GOOD}targets: { samples: 0 }\n`,
      'twinpatch.yaml:3:21  targets.samples: must be greater than 0, found 0',
    ],
    [
      `${GOOD}environment: { maxProcesses: 3 }\n`,
      'twinpatch.yaml:3:30  environment.maxProcesses: must be at least 16, found 3',
    ],
    [
      `${GOOD}environment: { memory: 2 gigs }\n`,
      'twinpatch.yaml:3:24  environment.memory: expected a number and a unit (B, KiB, MiB, GiB, KB, MB, GB), like 2GiB',
    ],
    [
      `${GOOD}environment: { memory: 1KiB }\n`,
      'twinpatch.yaml:3:24  environment.memory: expected at least 32MiB',
    ],
    [
      `${GOOD}rollout: { commandTimeout: 0s }\n`,
      'twinpatch.yaml:3:28  rollout.commandTimeout: expected more than 0',
    ],
    [
      'name: a\nteacher: { endpoints: [{ baseUrl: "http://h/v1", model: m }] }\nbudget: { maxCostUsd: 3 }\n',
      'twinpatch.yaml:3:23  budget.maxCostUsd: needs `teacher.price`: without prices no cost is known',
    ],
    [
      `${GOOD}rollout: { commandTimeout: 300 }\n`,
      'twinpatch.yaml:3:28  rollout.commandTimeout: expected a number and a unit (ms, s, m, h), like 300s',
    ],
    [
      `${GOOD}rollout: { commandTimeout: 1000h }\n`,
      'twinpatch.yaml:3:28  rollout.commandTimeout: expected at most 500h',
    ],
    [
      `${GOOD}rollout: { callsPerTurn: severl }\n`,
      'twinpatch.yaml:3:26  rollout.callsPerTurn: expected one of `one`, `several`, found "severl"; did you mean `several`?',
    ],
    [
      `${GOOD}rollout: { profile: hermes }\n`,
      'twinpatch.yaml:3:21  rollout.profile: expected `swe-agent`, found "hermes"',
    ],
    [
      `${GOOD}verification: { maxLeak: 2 }\n`,
      'twinpatch.yaml:3:26  verification.maxLeak: must be at most 1, found 2',
    ],
    [
      `${GOOD}repository: { commits: [] }\n`,
      'twinpatch.yaml:3:24  repository.commits: must have at least one entry',
    ],
    [
      `${GOOD}repository: { commits: [main, main] }\n`,
      'twinpatch.yaml:3:24  repository.commits: names a commit twice',
    ],
    [
      `${GOOD}repository: { commits: HEAD }\n`,
      'twinpatch.yaml:3:24  repository.commits: expected a list, found "HEAD"',
    ],
    [
      `${GOOD}repository: { source: "" }\n`,
      'twinpatch.yaml:3:23  repository.source: must not be empty',
    ],
    [
      `${GOOD}repository: { include: ["src/{a"] }\n`,
      'twinpatch.yaml:3:25  repository.include.0: the braces of the glob "src/{a" don\'t match',
    ],
    [
      'name: a\nteacher: {}\n',
      'twinpatch.yaml:2:10  teacher: give either `endpoints` or `scripted`',
    ],
    [
      'name: a\nteacher:\n  endpoints:\n    - model: m\n      baseUrl: 127.0.0.1:8000\n',
      'twinpatch.yaml:5:16  teacher.endpoints.0.baseUrl: expected an http:// or https:// address',
    ],
    [
      'name: a\nteacher:\n  endpoints:\n    - baseUrl: http://h/v1\n',
      'twinpatch.yaml:4:7  teacher.endpoints.0.model: is required',
    ],
    [
      'name: a\nteacher:\n  endpoints:\n    - { model: m, baseUrl: "http://h/v1", apiKeyEnv: sk-123 }\n',
      'twinpatch.yaml:4:54  teacher.endpoints.0.apiKeyEnv: expected the name of an environment variable, never the key itself',
    ],
    // Texts.
    [
      `${GOOD}prompts:\n  instructions:\n    add:\n      A_b: x\n`,
      'twinpatch.yaml:6:7  prompts.instructions.add.A_b: expected an id of lower-case letters, digits and dashes',
    ],
    [
      `${GOOD}prompts:\n  instructions:\n    add:\n      mine: look at {{ fonction }}\n`,
      'twinpatch.yaml:6:13  prompts.instructions.add.mine: unknown variable `{{ fonction }}`; known: `{{ function }}`, `{{ file }}`',
    ],
    [
      `${GOOD}prompts:\n  task: go\n`,
      'twinpatch.yaml:4:9  prompts.task: the text must use `{{ repository }}`',
    ],
    [
      `${GOOD}prompts: { demonstrations: { replace: true } }\n`,
      'twinpatch.yaml:3:28  prompts.demonstrations: `replace` is set and `add` is empty, so no example is left; add at least one text',
    ],
    [
      `${GOOD}prompts: { instructions: { replace: true, add: { a: "{{ function }} {{ file }}" } } }\n`,
      'twinpatch.yaml:3:26  prompts.instructions: a sample needs 3 different ones, and there are 1; add more or set `replace: false`',
    ],
  ])('%j', async (text, expected) => {
    expect(await problemsOf(text)).toBe(expected);
  });

  it('lists every problem at once', async () => {
    const text =
      'name: A\ntargets: { samples: 0, sed: 1 }\nrollout: { maxSteps: x }\nteacher: { scripted: {} }\n';
    expect((await problemsOf(text)).split('\n')).toHaveLength(4);
  });

  it.each([
    [
      'bytes that are no UTF-8',
      Buffer.from('name: \xff', 'latin1'),
      "twinpatch.yaml can't be read — it is not UTF-8",
    ],
    [
      'more than a megabyte',
      `# ${'x'.repeat(1024 ** 2)}\n`,
      'twinpatch.yaml is no configuration — it is larger than 1 MiB',
    ],
  ])('%s', async (_, bytes, expected) => {
    expect(await problemsOf(bytes)).toBe(expected);
  });

  it('nested beyond any purpose', async () => {
    expect(await problemsOf(`name: ${'['.repeat(100_000)}`)).toContain('twinpatch.yaml');
  });
});

describe('--set', () => {
  it('goes before the file, with values in YAML', async () => {
    const { config } = await load(
      GOOD,
      'targets.samples=12',
      'rollout.commandTimeout=2m',
      'repository.commits=[main, v1]',
      'prompts.instructions.add.mine=Look at {{ function }} in {{ file }}.',
      'name=b',
      'name=c',
    );
    expect(config.name).toBe('c');
    expect(config.targets.samples).toBe(12);
    expect(config.rollout.commandTimeoutMs).toBe(120_000);
    expect(config.repository.commits).toEqual(['main', 'v1']);
    expect(config.prompts.instructions.add['mine']).toBe('Look at {{ function }} in {{ file }}.');
  });

  it('reaches entries of lists by number, and appends the next one', async () => {
    const { config } = await load(
      'name: a\nteacher: { endpoints: [{ baseUrl: "http://h/v1", model: m }] }\n',
      'teacher.endpoints.0.model=other',
      'teacher.endpoints.1={ baseUrl: "http://i/v1", model: other }',
    );
    expect(config.teacher.endpoints.map(({ baseUrl, model }) => [baseUrl, model])).toEqual([
      ['http://h/v1', 'other'],
      ['http://i/v1', 'other'],
    ]);
  });

  it('makes up for what a file lacks', async () => {
    const { config } = await load('name: a\n', 'teacher.scripted.seed=3');
    expect(config.teacher.scripted?.seed).toBe(3);
  });

  it.each([
    ['rollout.maxSteps', "--set rollout.maxSteps can't be used — there is no `=` after a key"],
    ['=3', "--set =3 can't be used — there is no `=` after a key"],
    [
      'rollout.maxStep=3',
      "--set rollout.maxStep=3 can't be used — rollout.maxStep: unknown key; did you mean `maxSteps`?",
    ],
    ['name.x=3', "--set name.x=3 can't be used — name.x: unknown key; no keys are known here"],
    [
      '__proto__.x=3',
      "--set __proto__.x=3 can't be used — __proto__: unknown key; known here: `name`, `repository`, `environment`, `targets`, `teacher`, `rollout`, `prompts`, `verification`, `budget`, `store`",
    ],
    [
      'rollout.maxSteps=[',
      "--set rollout.maxSteps=[ can't be used — the value: not YAML: Flow sequence must end with a ]",
    ],
    [
      'teacher.endpoints.first=3',
      "--set teacher.endpoints.first=3 can't be used — `teacher.endpoints` is a list; name its entry by number, from 0",
    ],
    [
      'teacher.endpoints.2.model=m',
      "--set teacher.endpoints.2.model=m can't be used — `teacher.endpoints` has 0 entries, so the next one is 0",
    ],
    [
      'rollout.maxSteps=many',
      '--set rollout.maxSteps=many  rollout.maxSteps: expected a number, found "many"',
    ],
    [
      'budget={ maxCost: 3 }',
      '--set budget={ maxCost: 3 }  budget.maxCost: unknown key; did you mean `maxCostUsd`?',
    ],
  ])('%s is refused by name', async (set, expected) => {
    expect(await problemsOf(GOOD, set)).toBe(expected);
  });
});

it('blames the file for what --set did not bring', async () => {
  expect(await problemsOf('name: a\nteacher: {}\n', 'teacher.temperature=1')).toBe(
    'twinpatch.yaml:2:10  teacher: give either `endpoints` or `scripted`',
  );
  expect(await problemsOf('name: a\n', 'teacher.temperature=1')).toBe(
    '--set teacher.temperature=1  teacher: give either `endpoints` or `scripted`',
  );
});

describe('the file', () => {
  it('is the nearest one upward, and its relative paths start from its folder', async () => {
    const deep = join(folder, 'a', 'b');
    await mkdir(deep, { recursive: true });
    await load(`${GOOD}repository: { source: ../project }\n`);
    const { config, path, folder: found } = await loadConfig({ sets: [], cwd: deep });
    expect(path).toBe(join(folder, 'twinpatch.yaml'));
    expect(found).toBe(folder);
    expect(config.store).toBe(join(folder, '.twinpatch', 'store'));
    expect(config.repository.source).toBe(join(folder, '..', 'project'));
  });

  it('may name the home folder', async () => {
    const { config } = await load(`${GOOD}repository: { source: ~/project }\nstore: ~/store\n`);
    expect(config.repository.source).toBe(join(homedir(), 'project'));
    expect(config.store).toBe(join(homedir(), 'store'));
  });

  it('names a base image or a Dockerfile, whose text is taken', async () => {
    const text = 'FROM debian:12\nRUN make\n';
    await mkdir(join(folder, 'docker'), { recursive: true });
    await writeFile(join(folder, 'docker', 'Agent'), text);
    const environmentOf = async (environment: string) =>
      (await load(`${GOOD}environment: ${environment}\n`)).config.environment;
    expect(await environmentOf('{ dockerfile: docker/Agent }')).toMatchObject({
      image: undefined,
      dockerfile: text,
    });
    expect(await environmentOf('{}')).toMatchObject({
      image: 'twinpatch/base:bookworm',
      dockerfile: undefined,
    });
    expect(await problemsOf(`${GOOD}environment: { dockerfile: none }\n`)).toBe(
      `twinpatch.yaml:3:28  environment.dockerfile: ${join(folder, 'none')} is not there`,
    );
    expect(await problemsOf(`${GOOD}environment: { dockerfile: a, image: b }\n`)).toBe(
      'twinpatch.yaml:3:14  environment: give either `image` or `dockerfile`',
    );
  });

  it('can be named, and errors name it as it was', async () => {
    await writeFile(join(folder, 'other.yaml'), 'name: X\n');
    await expect(loadConfig({ path: 'other.yaml', sets: [], cwd: folder })).rejects.toThrow(
      'other.yaml:1:7  name: expected lower-case',
    );
    await expect(loadConfig({ path: 'none.yaml', sets: [], cwd: folder })).rejects.toThrow(
      "none.yaml can't be read — it is not there",
    );
    await expect(loadConfig({ path: 'a', sets: [], cwd: folder })).rejects.toThrow(
      "a can't be read — it is a folder",
    );
  });

  it('may begin with a byte order mark and use anchors', async () => {
    const { config } = await load(
      '\ufeffname: a\nteacher: { endpoints: [&e { baseUrl: "http://h/v1", model: m }, *e] }\n',
    );
    expect(config.teacher.endpoints).toHaveLength(2);
  });

  it('is missed with the command that writes one', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'twinpatch-empty-'));
    await expect(loadConfig({ sets: [], cwd: empty })).rejects.toMatchObject({
      exitCode: 3,
      next: 'twinpatch init',
    });
    await rm(empty, { recursive: true });
  });
});

it.each([
  ['.', true],
  ['../project', true],
  ['/srv/project', true],
  ['src', true],
  ['./a:b', true],
  ['https://host/a.git', false],
  ['ssh://git@host/a', false],
  ['file:///srv/project', false],
  ['git@host:team/a.git', false],
  ['host:a', false],
  ['ext::sh -c id', false],
])('source %s is a place on this machine: %s', (source, isLocal) => {
  expect(isLocalSource(source)).toBe(isLocal);
});
