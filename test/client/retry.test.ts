import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { chooseFailed, renewWhere } from '../../client/retry.ts';
import type { Verdict } from '../../domain/outcome.ts';
import type { Store } from '../../domain/store.ts';
import { openStore } from '../../store/open.ts';
import { toBatch, toEnd, toSamples } from '../support/batch-fixture.ts';
import { runCli } from '../support/cli.ts';

const VERDICTS: Verdict[] = [
  { kind: 'verified' },
  { kind: 'unverifiable', reason: 'self-check' },
  { kind: 'held', class: 'budget' },
  { kind: 'held', class: 'no-progress' },
  { kind: 'infrastructure', class: 'ImageBuildFailed' },
  { kind: 'infrastructure', class: 'ImageBuildFailed' },
];
const keys = toSamples(VERDICTS.length).map(({ key }) => key);

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twinpatch-retry-'));
  store = await openStore(folder);
  await store.batches.put(toBatch('b', store.id));
  await store.batches.append('b', toSamples(VERDICTS.length + 1));
  for (const [index, verdict] of VERDICTS.entries()) {
    await store.ends.record('b', toEnd(keys[index]!, { verdict }));
  }
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it.each([
  [[], { verdicts: ['held:budget', 'held:no-progress', 'infrastructure:ImageBuildFailed'] }, 4],
  [['reason=ImageBuildFailed'], { verdicts: ['infrastructure:ImageBuildFailed'] }, 2],
  [['reason=no-progress', 'reason=budget'], { verdicts: ['held:budget', 'held:no-progress'] }, 2],
  [['verdict=held'], { verdicts: ['held:budget', 'held:no-progress'] }, 2],
  [[`sample=${keys[4]}`, 'reason=budget'], { verdicts: ['held:budget'], keys: [keys[4]] }, 2],
  // Those have a content verdict.
  [['reason=self-check', 'verdict=verified', `sample=${keys[0]}`], {}, 0],
])('of the failed samples, %j chooses %j', async (where, chosen, count) => {
  expect(await chooseFailed(store, 'b', where)).toEqual({
    verdicts: [],
    keys: [],
    ...chosen,
    count,
  });
  const left = await store.ends.unfinished('b', keys);
  expect(left.map(({ generation }) => generation)).toEqual([1, 1, 1, 1]);
});

it.each([
  [['reason=self-check'], [1]],
  [
    ['verdict=infrastructure', `sample=${keys[0]}`],
    [0, 4, 5],
  ],
])('%j gives samples another generation', async (where, chosen) => {
  expect(await renewWhere(store, 'b', where)).toBe(chosen.length);
  const left = await store.ends.unfinished('b', keys);
  const renewed = left.filter(({ generation }) => generation === 2).map(({ key }) => key);
  expect(renewed).toEqual(chosen.map((index) => keys[index]));
});

it.each([
  [[], 2, 'error: which samples? — give --failed or --where\n'],
  [['--failed', '--where', 'cause=x'], 2, 'error: --where cause=x — expected verdict=VERDICT, '],
  [
    ['--failed', '--where', 'reason=x'],
    1,
    'error: no ended sample of b matches — --failed, reason=x\n',
  ],
])('%j is answered with what to do', async (args, exitCode, message) => {
  const { stderr, ...ran } = await runCli(['retry', 'b', ...args, '--store', folder]);
  expect(ran).toMatchObject({ exitCode });
  expect(stderr).toContain(message);
  expect(stderr).toMatch(/\nnext: twinpatch (status b|retry --help)\n/);
});
