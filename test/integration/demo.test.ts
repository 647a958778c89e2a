/** The first thing a new user does: `twinpatch demo` in an empty folder, and again, and with other numbers. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DatasetManifest } from '../../dataset/manifest.ts';
import { createProduct, type Product, type Ran } from '../support/product.ts';

describe('twinpatch demo in an empty folder', () => {
  let product: Product;
  let first: Ran;

  beforeAll(async () => {
    product = await createProduct();
    first = await product.run(['demo', '--json', '--port', String(product.port)]);
  });

  afterAll(async () => {
    await product?.close();
  });

  it('ends well, its last line of stdout being the summary of 8 samples', () => {
    expect(first).toMatchObject({ code: 0 });
    const summary = summaryOf(first);
    expect(Object.keys(summary)).toEqual(
      'batch planned verified accepted unverifiable held infrastructure rows dataset seconds'.split(
        ' ',
      ),
    );
    const { planned, verified, accepted, unverifiable, held, infrastructure } = summary;
    expect(planned).toBe(8);
    expect(verified + unverifiable + held + infrastructure).toBe(planned);
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThanOrEqual(verified);
  });

  it('writes rows that are marked as simulated and pass the check', async () => {
    const { rows, dataset } = summaryOf(first);
    expect(readdirSync(dataset).sort()).toEqual([
      'README.md',
      'SERVING.md',
      'manifest.json',
      't1.SIMULATED.jsonl',
      't2.SIMULATED.jsonl',
    ]);
    expect(linesOf(dataset)).toBe(rows);
    const checked = await product.run(['export', 'demo', '--check']);
    expect(checked).toMatchObject({ code: 0 });
    expect(checked.stdout).toContain('every row passes the check');
  });

  it('accounts for every planned sample in the manifest', () => {
    const { samples } = manifestOf(summaryOf(first).dataset);
    const sum = (counts: Record<string, number>) =>
      Object.values(counts).reduce((a, b) => a + b, 0);
    expect(samples).toMatchObject({ planned: 8, unfinished: 0 });
    expect(
      samples.verified +
        sum(samples.unverifiable) +
        sum(samples.held) +
        sum(samples.infrastructure) +
        samples.unfinished,
    ).toBe(8);
  });

  it('says that it is a simulation, and what to look at next', () => {
    expect(first.stderr).toMatch(
      /^DEMO: the teacher is scripted\. .*must not be used for training/,
    );
    for (const next of ['show demo/', 'status demo', 'export demo', 'down', 'Temporal UI'])
      expect(first.stderr).toContain(next);
  });

  it('counts what it asked by stage, and calls none of it unpriced', async () => {
    const { stdout } = await product.run(['stats', 'demo']);
    expect(stdout).toMatch(/^rollout-1 +\d+ +\d+ +simulated$/m);
    expect(stdout).not.toContain('unpriced');
  });

  it('has nothing left to do the second time, and needs no server for that', async () => {
    await product.run(['down']);
    const second = await product.run(['demo', '--json']);
    // Against the first run, because a shared machine says little in seconds.
    expect(summaryOf(second).seconds).toBeLessThan(summaryOf(first).seconds / 4);
    expect(second).toMatchObject({ code: 0 });
    expect(second.stderr).toContain('nothing is left to do');
    expect({ ...summaryOf(second), seconds: 0 }).toEqual({ ...summaryOf(first), seconds: 0 });
    expect(await product.leftovers()).toEqual([]);
  });

  it('shows what is left in the engine, keeps it on a dry run, and cleans it away', async () => {
    const kinds = (ran: Ran) =>
      ran.stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as { kind: string; removed: boolean });
    const shown = await product.run(['clean', '--dry-run', '--json']);
    expect(kinds(shown)).toEqual([expect.objectContaining({ kind: 'image', removed: false })]);
    const cleaned = await product.run(['clean', '--json']);
    expect(kinds(cleaned)).toEqual([expect.objectContaining({ kind: 'image', removed: true })]);
    expect((await product.run(['clean'])).stdout).toBe('nothing of this store is in the engine\n');
  });

  it('appends when asked for more samples', async () => {
    const store = await product.store();
    const before = await store.batches.samples('demo', 0, 100);
    const more = await product.run(['demo', '--json', '--samples', '10']);
    expect(more).toMatchObject({ code: 0 });
    expect(summaryOf(more)).toMatchObject({ planned: 10, held: 0, infrastructure: 0 });
    expect(more.stderr).toContain('2 samples planned');
    const after = await store.batches.samples('demo', 0, 100);
    expect(after.slice(0, 8)).toEqual(before);
    expect(after).toHaveLength(10);
  });

  it.each([[['--samples', '4']], [[]]])(
    'keeps all samples when asked for fewer by %j, and says so',
    async (options) => {
      const fewer = await product.run(['demo', '--json', ...options]);
      expect(fewer).toMatchObject({ code: 0 });
      expect(fewer.stderr).toContain('demo has 10 samples already: a batch only grows');
      expect(summaryOf(fewer)).toMatchObject({ planned: 10 });
    },
  );

  it.each([
    [['--name', 'My Batch'], 'lower-case letters, digits'],
    [['--samples', '0'], 'whole number from 1'],
    [['--repository', 'not/there'], 'not/there is not there'],
  ])('explains what is wrong with %j and makes nothing', async (options, reason) => {
    const wrong = await product.run(['demo', '--store', 'elsewhere/store', ...options]);
    expect(wrong.code).toBe(options[0] === '--repository' ? 1 : 2);
    expect(wrong.stderr).toContain(reason);
    expect(wrong.stderr).not.toContain('bug');
    expect(existsSync(join(product.folder, 'elsewhere/store/batches'))).toBe(false);
  });
});

// --- internal ---

interface Summary {
  batch: string;
  planned: number;
  verified: number;
  accepted: number;
  unverifiable: number;
  held: number;
  infrastructure: number;
  rows: number;
  dataset: string;
  seconds: number;
}

function summaryOf({ stdout }: Ran): Summary {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Summary;
}

function manifestOf(dataset: string): DatasetManifest {
  return JSON.parse(readFileSync(join(dataset, 'manifest.json'), 'utf8')) as DatasetManifest;
}

function linesOf(dataset: string): number {
  return ['t1', 't2']
    .map((name) => readFileSync(join(dataset, `${name}.SIMULATED.jsonl`), 'utf8'))
    .join('')
    .split('\n')
    .filter((line) => line !== '').length;
}
