import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { isFinished } from '../../client/batch-state.ts';
import { readYield } from '../../client/yield.ts';
import { openStore } from '../../store/open.ts';
import { toBatch, toEnd, toSample } from '../support/batch-fixture.ts';

it('of a batch whose plan was cut short counts what is not planned yet as unfinished', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'twinpatch-store-'));
  const store = await openStore(folder);
  await store.batches.put(toBatch('b', store.id, { targets: { samples: 3 } }));
  await store.batches.append('b', [toSample(0)]);
  await store.ends.record('b', toEnd(toSample(0).key));
  const found = await readYield(store, 'b');
  await rm(folder, { recursive: true });
  expect(found).toMatchObject({ planned: 3, verified: 1, unfinished: 2 });
  expect(isFinished(found)).toBe(false);
});
