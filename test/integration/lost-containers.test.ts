/** A host that loses every container, with a worker that is killed or told to stop: the rollouts go on from the trees they had saved. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchConfigInput } from '../../domain/config.ts';
import type { JournalEntry } from '../../domain/ports.ts';
import type { RolloutResult } from '../../domain/sample.ts';
import type { Store } from '../../domain/store.ts';
import { connectEngine } from '../../sandbox/engine.ts';
import { createReaper } from '../../sandbox/reaper.ts';
import { COMMANDER, createProduct, type Product, until } from '../support/product.ts';

const SAMPLES = 4;
const SAVE_STEPS = 2;
const env = { TWINPATCH_SAVE_STEPS: String(SAVE_STEPS) };

const config: BatchConfigInput = {
  name: 'lost',
  repository: { source: COMMANDER },
  environment: { memory: '256MiB', maxProcesses: 128 },
  targets: { samples: SAMPLES, seed: 11 },
  teacher: { scripted: { latency: '200ms', policies: { reproduce: 1 } } },
};

describe('containers that are lost', () => {
  let undisturbed: Product;
  let disturbed: Product;
  let journals: JournalEntry[][];

  beforeAll(async () => {
    [undisturbed, disturbed] = await Promise.all([createProduct(), createProduct()]);
    undisturbed.configure(config);
    disturbed.configure(config);
    const run = (product: Product, more: string[]) =>
      product.run(['run', '--port', String(product.port), ...more], env);
    expect(await run(undisturbed, ['--json'])).toMatchObject({ code: 0 });
    await undisturbed.run(['down']);

    expect(await run(disturbed, ['--detach'])).toMatchObject({ code: 0 });
    const store = await disturbed.store();
    await until('trees are saved', async () => savedTrees(disturbed) >= 2);
    await disturbed.kill('worker');
    await createReaper({ engine: await connectEngine(), installation: store.id }).removeAll();
    const before = await calls(store);
    expect(await disturbed.run(['resume', 'lost', '--detach'], env)).toMatchObject({ code: 0 });
    await until('it goes on', async () => (await calls(store)) >= before + 4);
    expect(await disturbed.run(['down'])).toMatchObject({ code: 0 });
    expect(await disturbed.leftovers()).toEqual([]);
    const resumed = await disturbed.run(['resume', 'lost', '--json'], env);
    expect(resumed).toMatchObject({ code: 0 });
    journals = await readJournals(store);
  });

  afterAll(async () => {
    await undisturbed?.close();
    await disturbed?.close();
  });

  it('make the very rows of an undisturbed run', async () => {
    const [expected, actual] = await Promise.all([rowsOf(undisturbed), rowsOf(disturbed)]);
    expect(expected.length).toBeGreaterThan(0);
    expect(actual).toEqual(expected);
  });

  it('are told of in the journals of the rollouts that went on elsewhere', () => {
    const restored = journals.filter((entries) => marks(entries).includes('restored'));
    expect(restored.length).toBeGreaterThanOrEqual(1);
    for (const entries of restored)
      expect(marks(entries)).toEqual(expect.arrayContaining(['started', 'saved']));
  });

  it('cost no more than the steps since the last saved tree, and these are booked as waste', async () => {
    const [bare, more] = await Promise.all([undisturbed.store(), disturbed.store()]);
    const again = (await calls(more)) - (await calls(bare));
    // Both times of each of the samples under way, those steps and the reply that was on its way.
    expect(again).toBeLessThanOrEqual(2 * SAMPLES * (SAVE_STEPS + 1));
    const wasted = [...(await more.ends.read('lost')).values()].map((end) => end.wasted.usage);
    const inputTokens = wasted.reduce((sum, usage) => sum + usage.inputTokens, 0);
    expect(inputTokens > 0).toBe(again > 0);
  });
});

// --- internal ---

function savedTrees({ folder }: Product): number {
  const leases = join(folder, '.twinpatch/store/leases');
  if (!existsSync(leases)) return 0;
  return readdirSync(leases, { recursive: true }).filter((name) =>
    String(name).endsWith('.tree.gz'),
  ).length;
}

function marks(entries: JournalEntry[]): string[] {
  return entries.flatMap((entry) => (entry.kind === 'mark' ? [entry.mark] : []));
}

async function readJournals(store: Store): Promise<JournalEntry[][]> {
  const all: JournalEntry[][] = [];
  for (const { key: sampleKey } of await store.batches.samples('lost', 0, SAMPLES)) {
    for (const name of await store.ledger.names('lost', sampleKey)) {
      if (!name.startsWith('rollout-')) continue;
      const result = await store.ledger.get<RolloutResult>({ batchId: 'lost', sampleKey, name });
      if (result !== undefined) all.push(await store.journals.read(result.journal));
    }
  }
  return all;
}

async function calls(store: Store): Promise<number> {
  return (await store.spend.total('lost')).calls;
}

/** Without the ids of the prepared images, of which each store has its own. */
async function rowsOf(product: Product): Promise<string[]> {
  const out = join(product.folder, 'rows');
  expect(await product.run(['export', 'lost', '--out', out])).toMatchObject({ code: 0 });
  return ['t1', 't2'].map((name) =>
    readFileSync(join(out, `${name}.SIMULATED.jsonl`), 'utf8').replaceAll(
      /"imageId":"sha256:[0-9a-f]{64}",/g,
      '',
    ),
  );
}
