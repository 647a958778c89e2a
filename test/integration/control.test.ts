/** Control over a batch that runs: what each command does to it, and that nothing of ours stays where nothing runs. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchState } from '../../client/batch-state.ts';
import type { SampleView } from '../../client/sample-view.ts';
import type { BatchConfigInput } from '../../domain/config.ts';
import { COMMANDER, createProduct, type Product, until } from '../support/product.ts';

const SAMPLES = 6;

const config: BatchConfigInput = {
  name: 'control',
  repository: { source: COMMANDER },
  environment: { memory: '256MiB', maxProcesses: 128 },
  targets: { samples: SAMPLES, seed: 11 },
  teacher: { scripted: { latency: '100ms', policies: { reproduce: 2, 'self-check-no': 1 } } },
  rollout: { maxSteps: 10 },
};

describe('a batch under control', () => {
  let product: Product;

  beforeAll(async () => {
    product = await createProduct();
    product.configure(config);
    await done('up', '--port', String(product.port));
  });

  afterAll(async () => {
    await product?.close();
  });

  it('starts nothing new while paused, and says so', async () => {
    await done('run', '--window', '1', '--detach');
    await underWay();
    expect(await done('pause')).toBe('control is paused; next: twinpatch resume control\n');
    await until('the sample under way has ended', async () => (await status()).live === 0);
    const paused = await status();
    expect(paused).toMatchObject({ phase: 'paused', planned: SAMPLES, unfinished: SAMPLES - 1 });
    expect(await product.containers()).toEqual([]);
  });

  it('ends at once when cancelled, removing its containers', async () => {
    await done('resume', '--detach');
    await underWay();
    expect(await done('cancel')).toContain('control is cancelled; next: twinpatch resume control');
    expect(await product.containers()).toEqual([]);
    expect(await status()).toMatchObject({ phase: 'stopped', live: 0, infrastructure: 0, held: 0 });
  });

  it('goes on in the background after one interrupt', async () => {
    const run = product.start(['run']);
    await until('it is followed', async () => run.stderr().includes('under way'));
    run.child.kill('SIGINT');
    const { code, stderr } = await run.ended;
    expect(code).toBe(0);
    expect(stderr).toContain('control goes on in the background; Ctrl-C again cancels it.');
    expect(stderr).toContain('twinpatch cancel control');
    expect(await status()).toMatchObject({ phase: 'running' });
  });

  it('is cancelled by a second interrupt', async () => {
    const run = product.start(['run']);
    await until('it is followed', async () => run.stderr().includes('under way'));
    run.child.kill('SIGINT');
    await sleep(300);
    run.child.kill('SIGINT');
    const { code, stderr } = await run.ended;
    expect(code).toBe(130);
    expect(stderr).toMatch(
      /error: control was cancelled; what is done stays\nnext: twinpatch resume control\n$/,
    );
    expect(await product.containers()).toEqual([]);
    expect(await status()).toMatchObject({ phase: 'stopped', live: 0 });
  });

  it('lets the samples under way end when drained', async () => {
    const before = await status();
    await done('resume', '--window', '1', '--detach');
    await underWay();
    await done('cancel', '--drain');
    const after = await status();
    expect(after).toMatchObject({ phase: 'stopped', live: 0, infrastructure: 0, held: 0 });
    expect(after.unfinished).toBeLessThan(before.unfinished);
    expect(after.unfinished).toBeGreaterThan(0);
    expect(await product.containers()).toEqual([]);
  });

  it('leaves nothing behind when all is taken down in its middle', async () => {
    await done('resume', '--detach');
    await underWay();
    await done('down');
    expect(await product.leftovers()).toEqual([]);
    expect(await status()).toMatchObject({ phase: 'unknown', held: 0, infrastructure: 0 });
  });

  it('is worked off by resume, which brings up what it needs', async () => {
    const state = JSON.parse(await done('resume', '--json')) as BatchState;
    expect(state).toMatchObject({ phase: 'finished', unfinished: 0, held: 0, infrastructure: 0 });
    expect(state.verified).toBeGreaterThan(0);
    expect(state.verdicts['unverifiable:self-check']).toBeGreaterThan(0);
    expect(await product.containers()).toEqual([]);
  });

  it('shows its state as JSON', async () => {
    expect(await status()).toEqual({
      batch: 'control',
      repository: COMMANDER,
      simulated: true,
      phase: 'finished',
      planned: SAMPLES,
      verified: expect.any(Number),
      accepted: expect.any(Number),
      unverifiable: expect.any(Number),
      held: 0,
      infrastructure: 0,
      unfinished: 0,
      verdicts: expect.any(Object),
      live: 0,
      stages: {},
      waiting: [],
      spent: {
        calls: expect.any(Number),
        inputTokens: expect.any(Number),
        cachedInputTokens: expect.any(Number),
        outputTokens: expect.any(Number),
        costUsd: null,
      },
    });
  });

  it('shows a sample as JSON, found by the start of its key', async () => {
    const ends = await endsOf();
    const [key = ''] = [...ends].find(([, { verdict }]) => verdict.kind === 'verified') ?? [];
    const view = JSON.parse(await done('show', key.slice(0, 8), '--json')) as SampleView;
    expect(view).toMatchObject({
      batch: 'control',
      sample: { key },
      verdict: 'verified',
      selfCheck: 'yes',
      recall: { recall: expect.any(Number) },
      pr: { text: expect.any(String), leak: expect.any(Number) },
      rollout1: { status: 'submitted', simulated: true, patch: expect.stringMatching(/^diff /) },
      rollout2: { status: 'submitted', steps: expect.any(Number), turns: expect.any(Array) },
      end: { key, generation: 1 },
    });
  });

  it('does the chosen samples again on retry, and leaves the others alone', async () => {
    const before = await endsOf();
    const where = ['--where', 'verdict=unverifiable:self-check'];
    const state = JSON.parse(await done('retry', 'control', ...where, '--json')) as BatchState;
    expect(state).toMatchObject({ phase: 'finished', unfinished: 0 });
    const after = await endsOf();
    for (const [key, end] of before) {
      const isChosen = end.verdict.kind === 'unverifiable' && end.verdict.reason === 'self-check';
      if (isChosen) expect(after.get(key)).toMatchObject({ generation: 2 });
      else expect(after.get(key)).toEqual(end);
    }
    expect(await product.containers()).toEqual([]);
  });

  it('says when there is nothing to retry, pause or cancel', async () => {
    expect(await product.run(['retry', 'control', '--where', 'verdict=held'])).toMatchObject({
      code: 1,
      stderr:
        'error: no ended sample of control matches — verdict=held\nnext: twinpatch status control\n',
    });
    expect(await product.run(['retry', 'control', '--where', 'all'])).toMatchObject({ code: 2 });
    for (const command of ['pause', 'cancel']) {
      const { code, stderr } = await product.run([command]);
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: 'error: control does not run\nnext: twinpatch resume control\n',
      });
    }
  });

  it('leaves nothing behind at its end', async () => {
    await done('down');
    expect(await product.leftovers()).toEqual([]);
  });

  /** Runs a command that must succeed; returns its stdout. */
  async function done(...args: string[]): Promise<string> {
    const ran = await product.run(args);
    expect(ran).toMatchObject({ code: 0 });
    return ran.stdout;
  }

  async function status(): Promise<BatchState> {
    return JSON.parse(await done('status', '--json')) as BatchState;
  }

  async function underWay(): Promise<void> {
    await until('a rollout is under way', async () => (await product.containers()).length > 0);
  }

  async function endsOf() {
    return (await product.store()).ends.read('control');
  }
});
