import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchStats } from '../../client/batch-stats.ts';
import type { SampleEnd } from '../../domain/sample.ts';
import { NO_USAGE } from '../../domain/trajectory.ts';
import { writeSnapshot } from '../../repository/snapshot.ts';
import { openStore } from '../../store/open.ts';
import { PATCH, shortTrajectory } from '../dataset/fixtures.ts';
import { toBatch, toEnd, toSample, toSamples } from '../support/batch-fixture.ts';
import { runCli } from '../support/cli.ts';
import { hex, toRolloutResult } from '../support/fake-results.ts';
import { toSpendLine } from '../support/paid-calls.ts';
import { makeTarget } from '../support/target-folder.ts';

let folder: string;

/** Five samples of four functions: two verified, one whose T1 was not approved, one held, one that has not ended. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twinpatch-stats-'));
  const store = await openStore(folder);
  const trajectory = await store.blobs.putJson(shortTrajectory);
  const patch = {
    ref: await store.blobs.put(Buffer.from(PATCH)),
    bytes: 1,
    files: 1,
    countedLines: 2,
  };
  const functions = ['parse_0', 'parse_1', 'parse_2', 'parse_3', 'tiny'].map((name) => ({
    ...toSample(0).target,
    name,
    eligible: name !== 'tiny',
    reason: name === 'tiny' ? 'too-short' : null,
  }));
  const licence = 'Permission is hereby granted, free of charge, to any person obtaining a copy';
  const files = [
    { path: 'LICENSE', mode: '100644', bytes: Buffer.from(licence) },
    { path: 'a.py', mode: '100644', bytes: Buffer.from('pass') },
  ] as const;
  const snapshot = await store.blobs.putStream(writeSnapshot(Readable.from(files)));
  const commit = {
    name: 'HEAD',
    commit: 'c'.repeat(40),
    snapshot,
    functions: await store.blobs.putJson(functions),
  };
  const price = { input: 1, output: 2 };
  const endpoints = [{ baseUrl: 'http://127.0.0.1:1/v1', model: 'm', price }];
  const batch = toBatch('b', store.id, { teacher: { endpoints } });
  await store.batches.put({
    ...batch,
    simulated: false,
    commits: [commit, { ...commit, name: 'old' }],
  });
  const samples = toSamples(5).map((sample, index) =>
    index === 4 ? { ...sample, target: toSample(0).target } : { ...sample, snapshot },
  );
  await store.batches.append('b', samples);
  const ends: Partial<SampleEnd>[] = [
    { recall: { exact: 0.75, sera: 1 } },
    { recall: { exact: 0.3, sera: null } },
    { verdict: { kind: 'unverifiable', reason: 'self-check' } },
    { verdict: { kind: 'held', class: 'budget' } },
  ];
  for (const [index, end] of ends.entries()) {
    const { key } = samples[index]!;
    const results: SampleEnd['results'] = {};
    for (const rollout of ['rollout-1', 'rollout-2'] as const) {
      const name = `${rollout}.1-${hex(16)}`;
      results[rollout] = name;
      const result = toRolloutResult(`${rollout}.1`, `b/${key}/${rollout}.1`);
      const simulated = false;
      await store.ledger.put(
        { batchId: 'b', sampleKey: key, name },
        { ...result, trajectory, patch, simulated },
      );
    }
    const check = `self-check.1-${hex(16)}`;
    results['self-check'] = check;
    const answer = index === 2 ? 'no' : 'yes';
    const spent = { usage: NO_USAGE, costUsd: 0 };
    await store.ledger.put(
      { batchId: 'b', sampleKey: key, name: check },
      { key: check, answer, spent },
    );
    await store.ends.record('b', toEnd(key, { ...end, results }));
  }
  for (const [costUsd, index, stage] of [
    [1, 0, 'rollout-1.1'],
    [0.375, 1, 'rollout-2.1'],
    [0.125, 2, 'rollout-1.1'],
  ] as const) {
    await store.spend.record('b', toSpendLine(costUsd, `b/${samples[index]!.key}/${stage}`));
  }
  await store.close();
});
afterAll(() => rm(folder, { recursive: true }));

async function stats(...args: string[]): Promise<BatchStats> {
  const { stdout, stderr } = await runCli(['stats', 'b', '--store', folder, '--json', ...args]);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as BatchStats;
}

describe('stats', () => {
  it('follows functions and samples to rows, with a reason for every one that is lost', async () => {
    const found = await stats();
    expect(found).toMatchObject({
      batches: ['b'],
      simulated: false,
      functions: {
        found: 5,
        eligible: 4,
        notEligible: { 'too-short': 1 },
        planned: 4,
        verified: 2,
        inRows: 2,
      },
      samples: {
        planned: 5,
        verified: 2,
        unverifiable: { 'self-check': 1 },
        held: { budget: 1 },
        infrastructure: {},
        unfinished: 1,
      },
      recall: {
        exact: { atLeast: { 0: 2, 0.25: 2, 0.5: 1, 0.75: 1, 1: 0 }, undefined: 0 },
        sera: { atLeast: { 0: 1, 0.25: 1, 0.5: 1, 0.75: 1, 1: 1 }, undefined: 1 },
      },
      t1: { rows: 2, replies: 4, trained: 4, lost: { 'self-check': 1, 'not-final': 1 } },
      t2: { rows: 1, lost: { 'below-min-recall': 1, 'not-verified': 1, 'not-final': 1 } },
      views: [],
      spent: { calls: 3, costUsd: 1.5 },
      paid: {
        stages: { 'rollout-1': { calls: 2, costUsd: 1.125 }, 'rollout-2': { costUsd: 0.375 } },
        useful: { calls: 1, inputTokens: 100, outputTokens: 10, costUsd: 1 },
        wasted: {
          'recall < 0.5': { costUsd: 0.375 },
          'unverifiable:self-check': { costUsd: 0.125 },
        },
      },
      costPerRowUsd: 0.5,
    });
  });

  it('says what each filter would leave, and what the views that were asked for did', async () => {
    const { views, filters, t2 } = await stats('--min-recall', '0', '--where', 't2: recall > 0.5');
    expect(views).toEqual([
      { view: 't2: recall > 0.5', t1: { in: 2, out: 2, only: 0 }, t2: { in: 2, out: 1, only: 1 } },
    ]);
    expect(t2.rows).toBe(1);
    const left = Object.fromEntries(filters.map(({ view, t1, t2 }) => [view, [t1.out, t2.out]]));
    expect(left).toMatchObject({
      "--where 'patchLines <= 40'": [2, 1],
      "--where 'think = 1'": [0, 0],
      '--distinct-patches 0.8': [0, 1],
      '--max-per-function 1': [1, 1],
    });
  });

  it('knows the licence of the repository from its snapshot', async () => {
    const { t1, t2 } = await stats(
      '--where',
      't1: licence = MIT',
      '--where',
      't2: licenceKind = copyleft',
    );
    expect([t1.rows, t2.rows]).toEqual([2, 0]);
  });

  it('counts tokens as a tokenizer does where one is named', async () => {
    // Of the tiny tokenizer nearly each letter is a token.
    const target = await makeTarget(folder, 'qwen');
    const asked = ['--min-recall', '0', '--where', 'tokens > 300'];
    expect((await stats(...asked)).t2.rows).toBe(0);
    expect((await stats(...asked, '--tokenizer', target)).t2.rows).toBe(2);
  });

  it('is a page of tables for people', async () => {
    const { stdout, exitCode } = await runCli(['stats', 'b', '--store', folder]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatchInlineSnapshot(`
      "b

      functions
      found                    5
      too-short               -1
      eligible                 4
      planned                  4
      with a verified sample   2
      in rows                  2

      samples
      planned                   5
      unfinished               -1
      unverifiable:self-check  -1
      held:budget              -1
      verified                  2

      verified with recall  >= 0  >= 0.25  >= 0.5  >= 0.75  >= 1  no line counts
      exact                    2        2       1        1     0               0
      sera                     1        1       1        1     1               1

      rows                T1  T2
      samples that ended   4   4
      self-check          -1   0
      not-final           -1  -1
      below-min-recall     0  -1
      not-verified         0  -1
      rows                 2   1
      replies              4   2
      replies trained on   4   2

      these rows with                     T1  T2  lost
      --where 'leak <= 0.2'                0   0  100 %
      --where 'think = 1'                  0   0  100 %
      --where 'untrained = 0'              2   1  0 %
      --where 'failedCalls = 0'            2   1  0 %
      --where 'keptRatio >= 0.88'          2   1  0 %
      --where 'keptRatio = 1'              2   1  0 %
      --where 'observationTokens <= 600'   2   1  0 %
      --where 'patchLines <= 40'           2   1  0 %
      --where 'touchesTarget = yes'        2   1  0 %
      --where 'whitespaceOnly = no'        2   1  0 %
      --where 'testFiles = 0'              2   1  0 %
      --where 'generatedFiles = 0'         2   1  0 %
      --where 'binaryFiles = 0'            2   1  0 %
      --where 'leftoverScripts = 0'        2   1  0 %
      --distinct-patches 0.8               0   1  67 %
      --distinct-trajectories 0.8          0   1  67 %
      --max-per-function 1                 1   1  33 %
      --max-per-file 10                    2   1  0 %

      paid                           calls  tokens  USD
      rollout-1                          2     220  1.1250
      rollout-2                          1     110  0.3750
      of these: for rows                 1     110  1.0000
      lost: recall < 0.5                 1     110  0.3750
      lost: unverifiable:self-check      1     110  0.1250

      3 calls, $1.50, $0.5000 a row, lost and rejected work included
      "
    `);
  });

  it('of no batch says which there are', async () => {
    const { exitCode, stderr } = await runCli(['stats', 'c', '--store', folder]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('no batch c — store');
  });
});
