/** A batch whose worker and server are killed in its middle: the data set of an undisturbed one, nothing lost, nothing left. */

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchConfigInput } from '../../domain/config.ts';
import type { Store } from '../../domain/store.ts';
import { defaultSlots } from '../../worker/environment.ts';
import { COMMANDER, createProduct, type Product, until } from '../support/product.ts';

const SAMPLES = 12;
/** Of the worker three, of the server one. */
const KILLS = 4;
const GOES_ON_MS = 5_000;

const config: BatchConfigInput = {
  name: 'kills',
  repository: { source: COMMANDER },
  environment: { memory: '256MiB', maxProcesses: 128 },
  targets: { samples: SAMPLES, seed: 11 },
  teacher: { scripted: { latency: '100ms', faultRate: 0.05 } },
  rollout: { maxSteps: 14 },
};

describe('a batch of 12 under kill -9', () => {
  let undisturbed: Product;
  let disturbed: Product;
  /** How long it took to go on after each kill, and how long it may take on this machine as it is. */
  const goesOn: { ms: number; limitMs: number }[] = [];

  /** What the batch said while it was followed after the kills. */
  let waits = '';

  beforeAll(async () => {
    undisturbed = await createProduct();
    undisturbed.configure(config);
    const ran = await undisturbed.run(['run', '--port', String(undisturbed.port), '--json']);
    expect(ran).toMatchObject({ code: 0 });
    await undisturbed.run(['down']);

    disturbed = await createProduct();
    disturbed.configure(config);
    const args = ['run', '--port', String(disturbed.port), '--detach'];
    expect(await disturbed.run(args)).toMatchObject({ code: 0 });
    const store = await disturbed.store();
    await killWorkerWhen(
      'a rollout 1 has asked the teacher',
      async () => (await calls(store)) >= 8,
    );
    await killWorkerWhen('a rollout 2 is under way', () => anyStage(store, 'synthetic-pr'));
    await killWorkerWhen('a sample has ended', async () => (await ended(store)) >= 3);
    await until('another sample has ended', async () => (await ended(store)) >= 4);
    await disturbed.kill('server');
    const resumed = await disturbed.run([
      'resume',
      'kills',
      '--port',
      String(disturbed.port),
      '--json',
    ]);
    expect(resumed).toMatchObject({ code: 0 });
    waits = resumed.stderr;

    async function killWorkerWhen(what: string, condition: () => Promise<boolean>): Promise<void> {
      await until(what, condition);
      await disturbed.kill('worker');
      const before = await calls(store);
      const bareMs = await timed(() => disturbed.run(['--version']));
      expect(await disturbed.run(['up'])).toMatchObject({ code: 0 });
      // Written when the worker is started.
      const { mtimeMs } = statSync(join(disturbed.folder, '.twinpatch', 'worker.json'));
      await until('the teacher is asked again', async () => (await calls(store)) > before);
      const ms = Date.now() - mtimeMs;
      // 5 s where nothing else runs; on a loaded machine as much longer as the bare command line takes to start.
      goesOn.push({ ms, limitMs: Math.max(GOES_ON_MS, 12 * bareMs) });
    }
  }, 600_000);

  afterAll(async () => {
    await undisturbed?.close();
    await disturbed?.close();
  });

  it('gives every sample exactly one verdict', async () => {
    const store = await disturbed.store();
    expect(await ended(store)).toBe(SAMPLES);
    for (const { key } of await store.batches.samples('kills', 0, SAMPLES)) {
      const names = await store.ledger.names('kills', key);
      expect(names.filter((name) => name.startsWith('end-'))).toEqual(['end-1']);
    }
  });

  it('exports the very rows of an undisturbed run', async () => {
    const [expected, actual] = await Promise.all([rowsOf(undisturbed), rowsOf(disturbed)]);
    expect(expected.t2.length).toBeGreaterThan(0);
    expect(actual).toEqual(expected);
  });

  it('goes on within 5 s of the start of the worker', () => {
    expect(goesOn).toHaveLength(3);
    for (const { ms, limitMs } of goesOn) expect(ms).toBeLessThan(limitMs);
  });

  it('waits for no timeout of an attempt that nobody works on any more', () => {
    expect(waits).toContain('finished');
    expect(waits).not.toContain('timeout');
  });

  it('buys nothing again but the replies that were on their way, and starts no rollout anew', async () => {
    const store = await disturbed.store();
    const again = (await calls(store)) - (await calls(await undisturbed.store()));
    expect(again).toBeLessThanOrEqual(KILLS * defaultSlots());
    for await (const { wasted } of store.ends.stream('kills')) {
      expect(wasted.usage.inputTokens).toBe(0);
    }
  });

  it('leaves nothing behind', async () => {
    await disturbed.run(['down']);
    expect(await disturbed.leftovers()).toEqual([]);
    expect(await undisturbed.leftovers()).toEqual([]);
  });
});

// --- internal ---

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = Date.now();
  await work();
  return Date.now() - startedAt;
}

async function ended(store: Store): Promise<number> {
  return [...(await store.ends.outcomes('kills'))].length;
}

async function calls(store: Store): Promise<number> {
  return (await store.spend.total('kills')).calls;
}

async function anyStage(store: Store, stage: string): Promise<boolean> {
  for (const { key } of await store.batches.samples('kills', 0, SAMPLES)) {
    const names = await store.ledger.names('kills', key);
    if (names.some((name) => name.startsWith(stage))) return true;
  }
  return false;
}

/** Prepared images belong to a store; all rollouts of a snapshot have the one of theirs. */
const IMAGE_ID = /"imageId":"sha256:[0-9a-f]{64}",/g;

async function rowsOf(product: Product): Promise<{ t1: string[]; t2: string[] }> {
  const out = join(product.folder, 'rows');
  expect(await product.run(['export', 'kills', '--out', out, '--check'])).toMatchObject({
    code: 0,
  });
  const lines = (name: string) =>
    readFileSync(join(out, `${name}.SIMULATED.jsonl`), 'utf8')
      .replaceAll(IMAGE_ID, '')
      .trimEnd()
      .split('\n');
  const text = ['t1', 't2'].map((name) =>
    readFileSync(join(out, `${name}.SIMULATED.jsonl`), 'utf8'),
  );
  expect(new Set(text.join('').match(IMAGE_ID)).size).toBe(1);
  return { t1: lines('t1'), t2: lines('t2') };
}
