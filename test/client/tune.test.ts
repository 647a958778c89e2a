import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { BatchState } from '../../client/batch-state.ts';
import { openStore } from '../../store/open.ts';
import { toBatch, toSample } from '../support/batch-fixture.ts';
import { runCli } from '../support/cli.ts';
import { toSpendLine } from '../support/paid-calls.ts';

let folder: string;
const NOTHING = { window: null, maxCostUsd: null, maxTokens: null, maxHours: null, slots: null };
const hosted = { endpoints: [{ baseUrl: 'http://127.0.0.1:9/v1', model: 'm' }] };
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twinpatch-tune-'));
  const store = await openStore(folder);
  for (const batch of [
    toBatch('simulated', store.id),
    toBatch('priced', store.id, { teacher: { ...hosted, price: { input: 1, output: 2 } } }),
    toBatch('unpriced', store.id, { teacher: hosted }),
  ]) {
    await store.batches.put(batch);
    await store.batches.append(batch.id, [toSample(0)]);
  }
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const run = (command: string, ...args: string[]) => runCli([command, ...args, '--store', folder]);
const tunedOf = async (batch: string) => {
  const { stdout } = await run('status', batch, '--json');
  return (JSON.parse(stdout) as BatchState).tuned;
};

it('keeps what is set in the store, where nothing runs too, and shows it', async () => {
  const all = ['--window', '4', '--max-cost', '50', '--slots', '3'];
  expect(await run('tune', 'priced', ...all)).toMatchObject({
    exitCode: 0,
    stdout:
      'priced is unknown: window 4, cap $50.00, 3 slots on each worker; next: twinpatch resume priced\n',
    stderr: 'no Temporal server runs for this store: it holds for the next run\n',
  });
  expect((await run('status', 'priced')).stdout).toContain(
    '\ntuned: window 4, cap $50.00, 3 slots on each worker\n',
  );
  expect(await tunedOf('priced')).toEqual({ ...NOTHING, window: 4, maxCostUsd: 50, slots: 3 });
  expect(await tunedOf('simulated')).toEqual({ ...NOTHING, slots: 3 });
});

it('sets caps on tokens and hours, and shows what is used up of each cap', async () => {
  await run('tune', 'unpriced', '--max-tokens', '2.5M', '--max-hours', '8');
  expect(await tunedOf('unpriced')).toEqual({ ...NOTHING, maxTokens: 2_500_000, maxHours: 8 });
  const { stdout } = await run('status', 'unpriced');
  expect(stdout).toContain('\nbudget: 0 of 2.5M tokens, 0.0 of 8 hours\n');
  expect(stdout).toContain('\ntuned: cap 2.5M tokens, cap 8 hours\n');
});

it('says which cap is reached', async () => {
  const store = await openStore(folder);
  await store.spend.record('priced', toSpendLine(3));
  const reachedOf = async (...caps: string[]) => {
    const { stdout } = await run('tune', 'priced', ...caps, '--json');
    return (JSON.parse(stdout) as BatchState).budget.reached;
  };
  expect(await reachedOf('--max-cost', '3.01')).toBeNull();
  expect(await reachedOf('--max-tokens', '110')).toBe('tokens');
  expect(await reachedOf('--max-cost', '3')).toBe('costUsd');
});

it('goes back to what the batch was started with', async () => {
  await run('tune', 'priced', '--window', '4', '--max-cost', '50');
  const { stdout } = await run('tune', 'priced', '--window', 'auto', '--json');
  expect((JSON.parse(stdout) as BatchState).tuned).toEqual({ ...NOTHING, maxCostUsd: 50 });
  await run('tune', 'priced', '--max-cost', 'auto');
  expect((await run('status', 'priced')).stdout).not.toContain('tuned');
});

it.each([
  [
    ['priced'],
    2,
    'error: tune what? — give --window, --max-cost, --max-tokens, --max-hours or --slots\nnext: twinpatch tune --help\n',
  ],
  [
    ['priced', '--window', '0'],
    2,
    "error: option '--window <n>' argument '0' is invalid. Give a whole number from 1.\nnext: see `twinpatch tune --help`\n",
  ],
  [
    ['unpriced', '--max-cost', '5'],
    3,
    'error: unpriced has no prices — no cost is known, and a cap would hold nothing\nnext: set teacher.price in twinpatch.yaml, then twinpatch run --max-cost USD\n',
  ],
])('%j changes nothing and says what to do', async (args, exitCode, stderr) => {
  expect(await run('tune', ...args)).toEqual({ exitCode, stdout: '', stderr });
  expect(await tunedOf('priced')).toEqual(NOTHING);
});
