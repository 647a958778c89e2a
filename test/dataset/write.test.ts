import { createHash } from 'node:crypto';
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkDataset } from '../../dataset/check.ts';
import { FORMAT_NAMES } from '../../dataset/formats/names.ts';
import type { FinishedSample } from '../../dataset/select.ts';
import { writeDataset, type WriteOptions } from '../../dataset/write.ts';
import { answer, call, opening, optionsOf, sample, side, stream, trajectory } from './fixtures.ts';

let home: string;
let directory: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'twinpatch-dataset-'));
  directory = join(home, 'out');
});
afterEach(() => rm(home, { recursive: true }));

function write(samples: FinishedSample[], change: Partial<WriteOptions> = {}) {
  return writeDataset(() => stream(samples), toOptions({ planned: samples.length, ...change }));
}

function toOptions(change: Partial<WriteOptions> & { planned: number }): WriteOptions {
  return optionsOf({ directory, ...change });
}

async function readRows(name: string): Promise<string[]> {
  const text = await readFile(join(directory, name), 'utf8');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { instance_id: string }).instance_id);
}

const withTokens = side('s4/rollout-2.1', {
  trajectory: () =>
    Promise.resolve(
      trajectory([...opening, call('bash', {}), answer('<|im_end|>'), call('bash', {})]),
    ),
});

const mixed = [
  sample('s1'),
  sample('s2', { recall: { exact: 0.49, sera: 1 } }),
  sample('s3', { recall: { exact: null, sera: null } }),
  sample('s4', { t2: withTokens }),
  sample('s5', {
    verdict: { kind: 'unverifiable', reason: 'step-limit' },
    t2: side('s5/rollout-2.1', { status: 'step-limit' }),
  }),
  sample('s6', { verdict: { kind: 'unverifiable', reason: 'self-check' }, selfCheck: 'no' }),
  sample('s7', { verdict: { kind: 'unverifiable', reason: 'duplicate' } }),
  sample('s8', { verdict: { kind: 'held', class: 'budget' } }),
  sample('s9', { verdict: { kind: 'infrastructure', class: 'ImageNotFound' } }),
  sample('s10', { t1: side('s10/rollout-1.1', { status: 'context-limit' }) }),
];

describe('writeDataset', () => {
  test('accounts for every planned sample and every rollout, and its own check agrees', async () => {
    const manifest = await write(mixed, { planned: 12 });
    expect(manifest.samples).toEqual({
      planned: 12,
      verified: 5,
      unverifiable: { 'step-limit': 1, 'self-check': 1, duplicate: 1 },
      held: { budget: 1 },
      infrastructure: { ImageNotFound: 1 },
      unfinished: 2,
    });
    expect(manifest.t1).toEqual({
      rows: 5,
      replies: 10,
      trained: 10,
      lost: { 'self-check': 1, duplicate: 1, 'not-final': 2, 'not-submitted': 1 },
    });
    expect(manifest.t2).toEqual({
      rows: 2,
      replies: 4,
      trained: 4,
      lost: {
        'below-min-recall': 1,
        'no-recall': 1,
        'chat-tokens': 1,
        'not-verified': 3,
        'not-final': 2,
      },
    });
    expect(await readRows('t1.jsonl')).toEqual(['s1', 's2', 's3', 's4', 's5']);
    expect(await readRows('t2.jsonl')).toEqual(['s1', 's10']);
    expect(await checkDataset(directory)).toEqual([]);
  });

  test('the manifest names the very bytes of each file', async () => {
    const { files } = await write(mixed);
    for (const file of files) {
      const bytes = await readFile(join(directory, file.name));
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      expect(file).toMatchObject({ bytes: bytes.length, sha256 });
    }
  });

  test('the threshold itself is enough, and the other measure can be asked for', async () => {
    expect((await write([sample('s1')], { minRecall: 0.75 })).t2.rows).toBe(1);
    expect((await write([sample('s1')], { minRecall: 0.76 })).t2.rows).toBe(0);
    expect((await write([sample('s1')], { minRecall: 1, recallMode: 'sera' })).t2.rows).toBe(1);
  });

  test('is marked simulated where the scripted teacher gave no row at all', async () => {
    const { simulated, files } = await write([], { planned: 2, simulated: true });
    expect(simulated).toBe(true);
    expect(files.map(({ name }) => name)).toEqual(['t1.SIMULATED.jsonl', 't2.SIMULATED.jsonl']);
    expect(await checkDataset(directory)).toEqual([]);
  });

  test('equal samples give equal bytes, and an earlier export is replaced whole', async () => {
    const simulated = (key: string) =>
      sample(key, {
        t1: side(`${key}/1`, { simulated: true }),
        t2: side(`${key}/2`, { simulated: true }),
      });
    const manifest = await write([simulated('s1')]);
    expect(manifest.simulated).toBe(true);
    expect((await readdir(directory)).sort()).toEqual([
      'README.md',
      'SERVING.md',
      'manifest.json',
      't1.SIMULATED.jsonl',
      't2.SIMULATED.jsonl',
    ]);
    expect(await checkDataset(directory)).toEqual([]);
    const first = await write(mixed);
    expect(await write(mixed)).toEqual(first);
    expect(await readdir(directory)).not.toContain('t1.SIMULATED.jsonl');
    expect(await readdir(home)).toEqual(['out']);
  });

  test('cuts the rows into shards that hold each of them once, in order', async () => {
    const samples = ['s1', 's2', 's3', 's4', 's5'].map((key) => sample(key));
    const { files } = await write(samples, { shardRows: 2 });
    expect(files.filter(({ kind }) => kind === 't2').map(({ name, rows }) => [name, rows])).toEqual(
      [
        ['t2-00000-of-00003.jsonl', 2],
        ['t2-00001-of-00003.jsonl', 2],
        ['t2-00002-of-00003.jsonl', 1],
      ],
    );
    expect(await readRows('t2-00001-of-00003.jsonl')).toEqual(['s3', 's4']);
    expect(await checkDataset(directory)).toEqual([]);
  });

  test.each(FORMAT_NAMES)('writes %s, and its own check agrees', async (format) => {
    const { t2 } = await write(mixed, { format, planned: 12 });
    expect(t2.rows).toBe(2);
    expect(await checkDataset(directory)).toEqual([]);
  });

  test('writes Parquet that its own check reads, again to the same bytes', async () => {
    const { files } = await write(mixed, { fileType: 'parquet', shardRows: 3 });
    expect(files.map(({ name, rows }) => [name, rows])).toEqual([
      ['t1-00000-of-00002.parquet', 3],
      ['t1-00001-of-00002.parquet', 2],
      ['t2-00000-of-00001.parquet', 2],
    ]);
    expect(await checkDataset(directory)).toEqual([]);
    expect((await write(mixed, { fileType: 'parquet', shardRows: 3 })).files).toEqual(files);
    await expect(write(mixed, { fileType: 'parquet', format: 'atif' })).rejects.toThrow(
      'atif is a format of JSON documents',
    );
  });

  test('says so when a sample goes between the reading that chooses and the one that writes', async () => {
    let reading = 0;
    const samples = () => stream((reading += 1) === 1 ? mixed : mixed.slice(1));
    await expect(writeDataset(samples, toOptions({ planned: 12 }))).rejects.toThrow(
      'headers/s1/rollout-1.1 was chosen and is no longer there',
    );
  });

  test('refuses to mix scripted with real rollouts, and leaves the earlier export alone', async () => {
    const earlier = await write([sample('s1')]);
    const scripted = sample('s2', { t1: side('s2/1', { simulated: true }) });
    await expect(write([sample('s1'), scripted])).rejects.toThrow(
      'headers/s2/1 was written by the scripted teacher and headers/s1/rollout-1.1 by a real one',
    );
    expect(JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8'))).toEqual(earlier);
    expect(await readdir(home)).toEqual(['out']);
  });

  test.each(['notes.txt', 'README.md', 't1.jsonl', 'manifest.json'])(
    'never deletes a file that is not of an export, such as a %s of somebody’s own',
    async (name) => {
      await mkdir(directory);
      await writeFile(join(directory, name), 'mine');
      await expect(write([sample('s1')])).rejects.toThrow(`holds ${name}`);
      expect(await readFile(join(directory, name), 'utf8')).toBe('mine');
    },
  );

  test('simulated rows never take the place of others', async () => {
    const earlier = await write([sample('s1')]);
    await expect(write([], { simulated: true })).rejects.toThrow('rows that are not simulated');
    expect(JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8'))).toEqual(earlier);
  });

  test('a link stays, and the export is where it leads, be it there or not yet', async () => {
    const target = join(home, 'disk', 'export');
    await symlink('disk/export', directory);
    for (const samples of [[sample('s1')], [sample('s2')]]) {
      await write(samples);
      expect(await readlink(directory)).toBe('disk/export');
      expect(await readdir(target)).toContain('t2.jsonl');
    }
    expect(await readRows('t1.jsonl')).toEqual(['s2']);
    expect((await readdir(home)).sort()).toEqual(['disk', 'out']);
  });

  test.each([
    ['below /proc', '/proc/none/out', "/proc/none/out can't be made (ENOENT"],
    ['below a file', '/proc/version/out', '/proc/version/out is no folder'],
    ['that leads to itself', 'round', 'is a link that leads to itself'],
  ])('a folder %s is refused by name', async (_what, path, message) => {
    await symlink('round', join(home, 'round'));
    directory = resolve(home, path);
    await expect(write([sample('s1')])).rejects.toMatchObject({
      name: 'DatasetError',
      message: expect.stringContaining(message) as string,
    });
  });

  test('says which trajectory cannot be read', async () => {
    const lost = side('s1/rollout-2.1', {
      trajectory: () => Promise.reject(new Error('blob is gone')),
    });
    await expect(write([sample('s1', { t2: lost })])).rejects.toThrow(
      /headers\/s1\/rollout-2\.1 cannot be read: Error: blob is gone/,
    );
  });

  test('refuses more samples than are planned', async () => {
    await expect(write([sample('s1'), sample('s1')], { planned: 1 })).rejects.toThrow(
      's1 is one more',
    );
  });

  test('an export that died between its two renames is there again, and is replaced as usual', async () => {
    await write([sample('s1')]);
    await rename(directory, `${directory}.twinpatch-replaced`);
    await expect(write([sample('s1'), sample('s2')], { planned: 1 })).rejects.toThrow(
      's2 is one more',
    );
    expect(await readRows('t1.jsonl')).toEqual(['s1']);
    await write([sample('s2')]);
    expect(await readRows('t1.jsonl')).toEqual(['s2']);
  });
});

describe('checkDataset', () => {
  test('names line and reason of what was damaged after the export', async () => {
    await write([sample('s1'), sample('s2')]);
    const path = join(directory, 't2.jsonl');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace(/(\n.*)"train":false/, '$1"train":true'));
    const problems = await checkDataset(directory);
    expect(problems).toEqual([
      {
        file: 't2.jsonl',
        line: 2,
        message: expect.stringContaining('trains on role user') as string,
      },
      { file: 't2.jsonl', line: null, message: expect.stringContaining('was changed') as string },
    ]);
  });

  test.each<[string, (line: string) => string, string]>([
    [
      'a call that cannot be read',
      (line) => line.replace('{\\"command\\": \\"ls\\"}', '{\\"command\\"}'),
      'cannot be read back',
    ],
    [
      'an unknown tool',
      (line) => line.replaceAll('{\\"name\\": \\"bash\\", \\"arg', '{\\"name\\": \\"rm\\", \\"arg'),
      'calls rm',
    ],
    ['a control token', (line) => line.replace('a.py', '<|im_end|>'), 'control token'],
    ['a key too many', (line) => line.replace('{', '{"extra":1,'), 'extra'],
    ['a cut line', (line) => line.slice(0, 50), 'is not JSON'],
    ['a changed role', (line) => line.replace('"role":"user"', '"role":"assistant"'), 'not user'],
  ])('finds %s', async (_what, damage, message) => {
    await write([sample('s1')]);
    const path = join(directory, 't1.jsonl');
    await writeFile(path, damage((await readFile(path, 'utf8')).trimEnd()) + '\n');
    const messages = (await checkDataset(directory)).map((problem) => problem.message);
    expect(messages.join('\n')).toContain(message);
  });

  test('a folder without a manifest is no export', async () => {
    expect(await checkDataset(home)).toMatchObject([{ file: 'manifest.json', line: null }]);
  });
});
