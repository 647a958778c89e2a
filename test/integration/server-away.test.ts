/** A server that is away while stages end: what they made is in the store, and the batch goes on as soon as it is back. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { COMMANDER, createProduct, type Product, until } from '../support/product.ts';

/** Longer than the SDK tries to tell the server that an activity has ended. */
const AWAY_MS = 12_000;
/** Well under the minute after which the server itself hands a silent activity on. */
const GOES_ON_MS = 20_000;

let product: Product;
beforeAll(async () => {
  product = await createProduct();
});
afterAll(async () => {
  await product?.close();
});

it('a rollout that ended while the server was away is taken from the store at once', async () => {
  product.configure({
    name: 'away',
    repository: { source: COMMANDER },
    environment: { memory: '256MiB', maxProcesses: 128 },
    targets: { samples: 1, seed: 11 },
    teacher: { scripted: { latency: '300ms', policies: { reproduce: 1 } } },
  });
  const args = ['run', '--detach', '--port', String(product.port)];
  expect(await product.run(args)).toMatchObject({ code: 0 });
  const store = await product.store();
  await until('the teacher is asked', async () => (await store.spend.total('away')).calls > 0);
  await product.kill('server');
  const [sample] = await store.batches.samples('away', 0, 1);
  const stages = () => store.ledger.names('away', sample?.key ?? '');
  const has = async (stage: string) => (await stages()).some((name) => name.startsWith(stage));
  await until('the rollout has ended', () => has('rollout-1'));
  await sleep(AWAY_MS);
  const { calls } = await store.spend.total('away');
  expect(await product.run(['up'])).toMatchObject({ code: 0 });
  await until('the next stage is done', () => has('self-check'), GOES_ON_MS);
  expect((await store.spend.total('away')).calls).toBe(calls + 1);
});
