import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkDataset } from '../../dataset/check.ts';
import { parseCondition, parsePreference } from '../../dataset/conditions.ts';
import type { FinishedSample, RolloutSide } from '../../dataset/select.ts';
import { NO_VIEWS, type Views } from '../../dataset/views.ts';
import { writeDataset, type WriteOptions } from '../../dataset/write.ts';
import type { LicenceKind } from '../../domain/licence.ts';
import { recall } from '../../domain/recall.ts';
import type { Turn } from '../../domain/trajectory.ts';
import type { SampleVerification } from '../../domain/verification.ts';
import {
  answer,
  call,
  opening,
  optionsOf,
  PATCH,
  sample,
  shortTrajectory,
  side,
  stream,
  trajectory,
} from './fixtures.ts';

let home: string;
let directory: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'twinpatch-views-'));
  directory = join(home, 'out');
});
afterEach(() => rm(home, { recursive: true }));

function write(
  samples: FinishedSample[],
  views: Partial<Views>,
  change: Partial<WriteOptions> = {},
) {
  return writeDataset(
    () => stream(samples),
    optionsOf({
      directory,
      planned: samples.length,
      minRecall: 0,
      views: { ...NO_VIEWS, ...views },
      ...change,
    }),
  );
}

const where = (...texts: string[]) => ({ conditions: texts.map(parseCondition) });

async function rowsOf(name: string): Promise<{ instance_id: string; provenance: object }[]> {
  const text = await readFile(join(directory, name), 'utf8');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { instance_id: string; provenance: object });
}

const keysOf = async (name: string) => (await rowsOf(name)).map((row) => row.instance_id);

/** A sample whose T2 is special, and whose T1 is not. */
function withT2(key: string, change: Partial<RolloutSide>, of: Partial<FinishedSample> = {}) {
  return sample(key, { t2: side(`${key}/rollout-2.1`, change), ...of });
}

function speaking(turns: Turn[]): Partial<RolloutSide> {
  return { trajectory: () => Promise.resolve(trajectory([...opening, ...turns])) };
}

const thinking: Turn = {
  role: 'assistant',
  content: '',
  reasoning: 'Look first.',
  toolCalls: [{ id: 'c1', name: 'bash', arguments: '{"command":"ls"}' }],
};

const PATCH_OF_TWO_FILES = `${PATCH}diff --git a/tests/test_headers.py b/tests/test_headers.py
--- a/tests/test_headers.py
+++ b/tests/test_headers.py
@@ -1,1 +1,2 @@
 import http
+import pytest
`;

/** Fact, a condition that the first sample's T2 alone meets, and the samples. */
const CASES: [string, FinishedSample[]][] = [
  ['recall >= 0.9', [sample('yes', { recall: { exact: 0.9, sera: 0 } }), sample('no')]],
  ['seraRecall <= 0.3', [sample('yes', { recall: { exact: 0.9, sera: 0.2 } }), sample('no')]],
  ['leak > 0.5', [sample('yes', { leak: 0.6 }), sample('no', { leak: 0.1 })]],
  ['leak = none', [sample('yes'), sample('no', { leak: 0 })]],
  ['status = step-limit', [withT2('yes', { status: 'step-limit' }), sample('no')]],
  ['think = 1', [withT2('yes', speaking([thinking, answer('a.py')])), sample('no')]],
  ['replies >= 2', [sample('yes'), withT2('no', speaking([thinking, answer('a.py')]))]],
  [
    'failedCalls = 0',
    [
      sample('yes'),
      withT2(
        'no',
        speaking([call('bash', {}), { ...answer('no such file'), failed: true }, thinking]),
      ),
    ],
  ],
  [
    'longestObservation > 1000',
    [withT2('yes', speaking([thinking, answer('x '.repeat(4000)), thinking])), sample('no')],
  ],
  [
    'patchLines <= 2',
    [sample('yes'), withT2('no', { patch: () => Promise.resolve(PATCH_OF_TWO_FILES) })],
  ],
  [
    'testFiles = 1',
    [withT2('yes', { patch: () => Promise.resolve(PATCH_OF_TWO_FILES) }), sample('no')],
  ],
  [
    'touchesTarget = yes',
    [sample('yes'), sample('no', { target: { ...sample('').target, startLine: 50, endLine: 60 } })],
  ],
  [
    'file != http/headers.py',
    [sample('yes', { target: { ...sample('').target, file: 'a.py' } }), sample('no')],
  ],
  [
    'language = go|python',
    [
      sample('yes', { provenance: { language: 'go' } }),
      sample('no', { provenance: { language: 'java' } }),
    ],
  ],
];

const FIGURES = recall(PATCH, PATCH, 'exact');
const verified = (change: Partial<SampleVerification>) => ({
  verification: () =>
    Promise.resolve({ exact: FIGURES, sera: FIGURES, sameImage: true, ...change }),
});
const judged = (applies: boolean, parses: boolean | null) =>
  verified({ judgement: { applies, parses, unparsable: [] } });
const under = (name: string, kind: LicenceKind) => ({
  licence: () => Promise.resolve({ name, kind }),
});

/** As `CASES`, of what verification recorded and of the repository. */
const MORE_CASES: typeof CASES = [
  ['precision = 1', [sample('yes', verified({})), sample('no')]],
  [
    'f1 < 0.5',
    [sample('yes', verified({ exact: { ...FIGURES, f1: 0.4 } })), sample('no', verified({}))],
  ],
  ['applies = yes', [sample('yes', judged(true, null)), sample('no', judged(false, true))]],
  ['parses != no', [sample('yes', judged(true, null)), sample('no', judged(true, false))]],
  [
    'licence = none',
    [sample('yes', under('none', 'none')), sample('no', under('MIT', 'permissive'))],
  ],
  [
    'licenceKind = permissive|weak-copyleft',
    [
      sample('yes', under('MIT, MPL-2.0', 'weak-copyleft')),
      sample('no', under('GPL-3.0', 'copyleft')),
    ],
  ],
];

describe('a condition', () => {
  test.each([...CASES, ...MORE_CASES])(
    '%s leaves the rows that meet it, and counts the others',
    async (text, samples) => {
      const { t2, views, options } = await write(samples, where(`t2: ${text}`), {
        endStatus: ['submitted', 'step-limit'],
      });
      expect(await keysOf('t2.jsonl')).toEqual(['yes']);
      expect(t2.lost).toEqual({ [`t2: ${text}`]: 1 });
      expect(views).toMatchObject([{ view: `t2: ${text}`, t2: { in: 2, out: 1, only: 1 } }]);
      expect(options['where']).toEqual([`t2: ${text}`]);
      expect(await checkDataset(directory)).toEqual([]);
    },
  );

  test('after another one sees what that left; what each one costs alone is counted too', async () => {
    const samples = [
      sample('both', { recall: { exact: 0.2, sera: 0 }, leak: 0.9 }),
      sample('recall', { recall: { exact: 0.2, sera: 0 }, leak: 0 }),
      sample('leak', { leak: 0.9 }),
      sample('none', { leak: 0 }),
    ];
    const { t1, t2, views } = await write(samples, where('t2: recall >= 0.5', 'leak <= 0.5'));
    expect(views).toEqual([
      { view: 't2: recall >= 0.5', t1: { in: 4, out: 4, only: 0 }, t2: { in: 4, out: 2, only: 1 } },
      { view: 'leak <= 0.5', t1: { in: 4, out: 2, only: 2 }, t2: { in: 2, out: 1, only: 1 } },
    ]);
    expect([t1.rows, t2.rows]).toEqual([2, 1]);
  });
});

describe('the token budget', () => {
  const turns = Array.from({ length: 20 }, (_, index): Turn[] => [
    call('bash', { command: `cat file-${index}` }),
    answer('word '.repeat(70)),
  ]).flat();
  const long = withT2('long', speaking(turns));

  test('tells which share of its messages a row keeps, and prefers rows that keep more', async () => {
    const samples = [long, sample('short')];
    const tokenBudget = 1_000;
    await write(samples, { tokenBudget, ...where('t2: keptRatio >= 0.88') });
    expect(await keysOf('t2.jsonl')).toEqual(['short']);
    await write(samples, { tokenBudget, ...where('t2: keptRatio > 0.3', 't2: keptRatio < 0.6') });
    expect(await keysOf('t2.jsonl')).toEqual(['long']);
    await write(samples, { maxRows: { t2: 1 }, tokenBudget, prefer: parsePreference('keptRatio') });
    expect(await keysOf('t2.jsonl')).toEqual(['short']);
    await write(samples, { maxRows: { t2: 1 }, prefer: parsePreference('tokens:least') });
    expect(await keysOf('t2.jsonl')).toEqual(['short']);
  });

  test.each(['hermes', 'raw'] as const)(
    'cuts %s rows after the last reply within it, and says so in them',
    async (format) => {
      const { t2 } = await write(
        [long, sample('short')],
        { tokenBudget: 1_000, cut: true },
        { format },
      );
      const [cut, whole] = await rowsOf('t2.jsonl');
      expect(cut!.provenance).toMatchObject({
        cut: { replies: expect.any(Number) as number, of: 20 },
      });
      expect(whole!.provenance).not.toHaveProperty('cut');
      const { replies } = (cut!.provenance as { cut: { replies: number } }).cut;
      expect(replies).toBeGreaterThan(3);
      expect(replies).toBeLessThan(12);
      expect(t2.replies).toBe(replies + 2);
      expect(await checkDataset(directory)).toEqual([]);
    },
  );

  test('costs the rows that do not even keep a reply', async () => {
    const { t1, t2 } = await write([sample('s')], { tokenBudget: 10, cut: true });
    expect([t1.lost, t2.lost]).toEqual([{ 'over-budget': 1 }, { 'over-budget': 1 }]);
  });
});

describe('near-duplicates', () => {
  test('of a patch are found with other spaces, across samples and rollouts; T2 stays', async () => {
    const spaced = PATCH.replace('+    return', '+\treturn');
    const samples = [sample('a'), withT2('b', { patch: () => Promise.resolve(spaced) })];
    const { t1, t2 } = await write(samples, { distinctPatches: 0.8 });
    expect([t1.rows, t2.rows]).toEqual([0, 1]);
    expect(t1.lost).toEqual({ 'near-duplicate-patch': 2 });
  });

  test('of what the teacher wrote are found, whatever it read', async () => {
    const other = shortTrajectory.turns.map((turn) =>
      turn.role === 'tool' ? { ...turn, content: 'b.py' } : turn,
    );
    const samples = [
      withT2('a', {}),
      withT2('b', { trajectory: () => Promise.resolve({ ...shortTrajectory, turns: other }) }),
      withT2('c', speaking([thinking])),
    ];
    const { t2 } = await write(samples, { distinctTrajectories: 0.8, maxRows: { t1: 0 } });
    expect(t2.rows).toBe(2);
    expect(await keysOf('t2.jsonl')).toContain('c');
  });
});

test('held-out rows have files of their own, which no trainer is told of', async () => {
  const samples = Array.from({ length: 20 }, (_, index) => {
    const target = { ...sample('').target, file: `http/part-${index}.py`, name: `parse_${index}` };
    const change = {
      patch: () =>
        Promise.resolve(
          `--- a/${target.file}\n+++ b/${target.file}\n@@ -1 +1 @@\n-a${index}\n+b${index}\n`,
        ),
      ...speaking([
        call('bash', { command: `step-${index} of-${index} its-${index} own-${index}` }),
      ]),
    };
    return sample(`s${index}`, {
      target,
      t1: side(`s${index}/rollout-1.1`, change),
      t2: side(`s${index}/rollout-2.1`, change),
    });
  });
  const { files } = await write(samples, { heldOut: 0.2 }, { shardRows: 10 });
  expect(files.map(({ name, split, rows }) => [name, split, rows])).toEqual([
    ['t1-00000-of-00002.jsonl', 'train', 10],
    ['t1-00001-of-00002.jsonl', 'train', 6],
    ['t1.held-out-00000-of-00001.jsonl', 'held-out', 4],
    ['t2-00000-of-00002.jsonl', 'train', 10],
    ['t2-00001-of-00002.jsonl', 'train', 6],
    ['t2.held-out-00000-of-00001.jsonl', 'held-out', 4],
  ]);
  const [t1, t2] = [
    await keysOf('t1.held-out-00000-of-00001.jsonl'),
    await keysOf('t2.held-out-00000-of-00001.jsonl'),
  ];
  expect(t1).toEqual(t2);
  expect(await checkDataset(directory)).toEqual([]);
  const config = await readFile(join(directory, 'axolotl.yaml'), 'utf8');
  expect(config).toContain('t2-00001-of-00002.jsonl');
  expect(config).not.toContain('held-out');
  const card = await readFile(join(directory, 'README.md'), 'utf8');
  expect(card).toContain('  - split: test\n    path:\n    - "t2.held-out-00000-of-00001.jsonl"\n');
  // An export with other views takes its place.
  await write(samples, {});
  expect(await keysOf('t2.jsonl')).toHaveLength(20);
});

test('equal samples, views and seed give equal bytes; another seed gives other rows', async () => {
  const samples = Array.from({ length: 12 }, (_, index) =>
    sample(`s${index}`, { target: { ...sample('').target, file: `part-${index % 4}.py` } }),
  );
  const views: Partial<Views> = { maxPerFile: 4, maxRows: { t2: 5 }, stratify: 'file', seed: 3 };
  const first = await write(samples, views);
  expect(await write(samples, views)).toEqual(first);
  const keys = await keysOf('t2.jsonl');
  await write(samples, { ...views, seed: 4 });
  expect(await keysOf('t2.jsonl')).not.toEqual(keys);
});
