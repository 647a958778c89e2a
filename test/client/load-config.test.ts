import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isLocalSource } from '../../client/config-paths.ts';
import { loadConfig } from '../../client/load-config.ts';
import { GOOD, openConfigFolder } from '../support/config-folder.ts';

const { folder, load, problemsOf } = await openConfigFolder();

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
