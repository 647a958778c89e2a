import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { FormatName } from '../../dataset/formats/names.ts';
import { writeDataset, type WriteOptions } from '../../dataset/write.ts';
import { optionsOf, sample, side, stream } from './fixtures.ts';

let directory: string;
beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), 'twinpatch-card-'))));
afterEach(() => rm(directory, { recursive: true }));

const samples = ['s1', 's2', 's3'].map((key) => sample(key));

async function written(change: Partial<WriteOptions> = {}) {
  await writeDataset(
    () => stream(samples),
    optionsOf({ directory: join(directory, 'out'), planned: 4, ...change }),
  );
  const folder = join(directory, 'out');
  const names = (await readdir(folder)).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  return new Map(names.map((name, index) => [name, texts[index]!]));
}

describe('beside the rows', () => {
  test('a card names files, types, teacher, price, cost and losses', async () => {
    const files = await written({ minRecall: 1 });
    const [, header, text] = files.get('README.md')!.split(/^---$/m);
    expect(parse(header!)).toMatchObject({
      configs: [
        { config_name: 't1', data_files: ['t1.jsonl'] },
        { config_name: 't2', data_files: ['t2.jsonl'] },
      ],
    });
    expect(text).toContain('| 3 | `t1.jsonl` |');
    expect(text).toContain('| below-min-recall | 0 | 3 |');
    expect(text).toContain('Of 4 samples 3 have ended.');
    expect(text).toContain('glm-4.6 (temperature 0.6, top-p 1; USD per million tokens: 0.6 in,');
    expect(text).toContain('| 800 | 90 | 1.5000 |');
    expect(text).toContain('Each of the 3 rows cost $0.5000.');
  });

  test('the card of typed files names their columns, so that no loader guesses them', async () => {
    const files = await written({ fileType: 'parquet' });
    const [, header] = files.get('README.md')!.split(/^---$/m);
    expect(parse(header!)).toMatchObject({
      dataset_info: [
        {
          config_name: 't1',
          features: [
            { name: 'messages', list: [{ name: 'role', dtype: 'string' }, {}, {}] },
            { name: 'tool_json', dtype: 'string' },
            {},
            {},
            { name: 'recall', struct: [{ name: 'exact', dtype: 'float64' }, {}] },
            { name: 'simulated', dtype: 'bool' },
            { name: 'provenance', dtype: 'string' },
          ],
        },
        {},
      ],
    });
  });

  test('SERVING.md has the very system message of the rows, whatever it holds', async () => {
    const files = await written();
    const row = JSON.parse(files.get('t1.jsonl')!.split('\n')[0]!) as {
      messages: { content: string }[];
    };
    expect(files.get('SERVING.md')).toContain(`\n\`\`\`\n${row.messages[0]!.content}\n\`\`\`\n`);
    expect(files.get('SERVING.md')).toContain('--tool-call-parser hermes');
  });

  test.each<[FormatName, string[]]>([
    [
      'hermes',
      ['axolotl.yaml', 'dataset_info.json', 'llama_factory.yaml', 'trl_sft.py', 'unsloth_sft.py'],
    ],
    [
      'xml',
      ['axolotl.yaml', 'dataset_info.json', 'llama_factory.yaml', 'trl_sft.py', 'unsloth_sft.py'],
    ],
    ['openai', ['axolotl.yaml', 'trl_sft.py', 'unsloth_sft.py']],
    ['sharegpt', ['dataset_info.json', 'llama_factory.yaml']],
    ['atif', []],
    ['raw', []],
  ])('%s has configurations of the trainers that read it whole', async (format, expected) => {
    const files = await written({ format, shardRows: 2 });
    const others = /^(?:t[12].*|manifest\.json|README\.md|SERVING\.md)$/;
    expect([...files.keys()].filter((name) => !others.test(name))).toEqual(expected);
    const rows = [...files.keys()].filter((name) => /^t[12]/.test(name));
    for (const name of expected.filter((each) => /axolotl|trl|unsloth|info/.test(each)))
      for (const file of rows) expect(files.get(name)).toContain(file);
    for (const name of expected.filter((each) => each.endsWith('.yaml')))
      expect(() => parse(files.get(name)!) as unknown).not.toThrow();
  });

  test('LLaMA-Factory finds each file under the name that its configuration gives', async () => {
    const files = await written({ format: 'sharegpt' });
    const info = JSON.parse(files.get('dataset_info.json')!) as Record<string, object>;
    const { dataset } = parse(files.get('llama_factory.yaml')!) as { dataset: string };
    expect(dataset.split(',')).toEqual(Object.keys(info));
    expect(info['twinpatch_t2']).toMatchObject({
      file_name: 't2.jsonl',
      formatting: 'sharegpt',
      columns: { messages: 'conversations', system: 'system', tools: 'tools' },
      tags: { function_tag: 'function_call', observation_tag: 'observation' },
    });
  });

  test('nobody is led to train on what the scripted teacher made', async () => {
    const scripted = samples.map((each) => ({
      ...each,
      t1: side('a', { simulated: true }),
      t2: side('b', { simulated: true }),
    }));
    const directoryOut = join(directory, 'out');
    await writeDataset(
      () => stream(scripted.slice(0, 1)),
      optionsOf({ directory: directoryOut, planned: 1, simulated: true }),
    );
    expect((await readdir(directoryOut)).sort()).toEqual([
      'README.md',
      'SERVING.md',
      'manifest.json',
      't1.SIMULATED.jsonl',
      't2.SIMULATED.jsonl',
    ]);
    expect(await readFile(join(directoryOut, 'README.md'), 'utf8')).toContain('**SIMULATED**');
  });
});
