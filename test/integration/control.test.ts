/** Control over batches: what each command does to them, and that nothing of ours stays where nothing runs. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchState } from '../../client/batch-state.ts';
import type { Preview } from '../../client/preview.ts';
import type { SampleView } from '../../client/sample-view.ts';
import type { BatchConfigInput } from '../../domain/config.ts';
import { batchWorkflowId } from '../../domain/ids.ts';
import { COMMANDER, createProduct, type Product, until } from '../support/product.ts';

const base: BatchConfigInput = {
  name: 'short',
  repository: { source: COMMANDER },
  environment: { memory: '256MiB', maxProcesses: 128 },
  targets: { samples: 3, seed: 11 },
  teacher: { scripted: { latency: '100ms', policies: { reproduce: 1, 'self-check-no': 1 } } },
  rollout: { maxSteps: 10 },
};
/** More samples than any machine ends while its controls are tried, however slow it is. */
const LONG = 60;

const STOPPED = { phase: 'stopped', live: 0, held: 0, infrastructure: 0 };

describe('control over batches', () => {
  let product: Product;

  beforeAll(async () => {
    product = await createProduct();
    product.configure(base);
    await done('up', '--port', String(product.port));
    await done('run', '--name', 'long', '-n', String(LONG), '--window', '1', '--detach');
    await underWay();
  });

  afterAll(async () => {
    await product?.close();
  });

  it('pause lets the samples under way end and starts nothing new', async () => {
    expect(await done('pause', 'long')).toBe('long is paused; next: twinpatch resume long\n');
    await until('the sample under way has ended', async () => (await status('long')).live === 0);
    const paused = await status('long');
    expect(paused).toMatchObject({ phase: 'paused', planned: LONG, held: 0, infrastructure: 0 });
    expect(paused.unfinished).toBeGreaterThan(0);
    expect(await product.containers()).toEqual([]);
  });

  it('cancel ends it at once and removes its containers', async () => {
    await goOn();
    expect(await done('cancel', 'long')).toContain(
      'long is cancelled; next: twinpatch resume long',
    );
    expect(await product.containers()).toEqual([]);
    expect(await status('long')).toMatchObject(STOPPED);
  });

  it('one interrupt turns away from it, and it goes on in the background', async () => {
    const watched = await watch();
    watched.child.kill('SIGINT');
    const { code, stderr } = await watched.ended;
    expect(code).toBe(0);
    expect(stderr).toContain('long goes on in the background; Ctrl-C again cancels it.');
    expect(stderr).toContain('twinpatch cancel long');
    expect(await status('long')).toMatchObject({ phase: 'running' });
  });

  it('a second interrupt cancels it', async () => {
    const watched = await watch();
    watched.child.kill('SIGINT');
    await sleep(300);
    watched.child.kill('SIGINT');
    const { code, stderr } = await watched.ended;
    expect(code).toBe(130);
    expect(stderr).toMatch(
      /error: long was cancelled; what is done stays\nnext: twinpatch resume long\n$/,
    );
    expect(await product.containers()).toEqual([]);
    expect(await status('long')).toMatchObject(STOPPED);
  });

  it('cancel --drain lets the samples under way end', async () => {
    const before = await status('long');
    await goOn();
    await done('cancel', 'long', '--drain');
    const after = await status('long');
    expect(after).toMatchObject(STOPPED);
    expect(after.unfinished).toBeLessThan(before.unfinished);
    expect(await product.containers()).toEqual([]);
  });

  it('who watches it sees that its worker is gone, and that it goes on with the next one', async () => {
    await goOn();
    const watched = product.start(['status', 'long', '--follow']);
    await until('it is watched', async () => watched.stderr().includes('long: running'));
    await product.kill('worker');
    await until('the loss is shown', async () => watched.stderr().includes('next: twinpatch up'));
    expect(await status('long')).toMatchObject({ phase: 'no worker', infrastructure: 0 });
    await done('up');
    await until('it goes on', async () => (await status('long')).phase === 'running');
    // As in the server's own UI.
    const connection = await Connection.connect({ address: `127.0.0.1:${product.port}` });
    const client = new Client({ connection, namespace: 'twinpatch' });
    await client.workflow.getHandle(batchWorkflowId('long')).terminate();
    await connection.close();
    expect(await watched.ended).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^long: stopped\n/),
    });
  });

  it('down in its middle leaves nothing behind, and resume brings up what it needs', async () => {
    await goOn();
    await done('down');
    expect(await product.leftovers()).toEqual([]);
    expect(await status('long')).toMatchObject({ phase: 'unknown', held: 0, infrastructure: 0 });
    // A sample that has begun with an image ends with it.
    expect((await product.run(['clean', '--json'])).stdout).toMatch(
      /^\{"kind":"image",.*"inUse":"kept for batch long","removed":false\}\n$/,
    );
    await goOn();
    expect(await status('long')).toMatchObject({ phase: 'running', held: 0, infrastructure: 0 });
    await done('cancel', 'long');
  });

  it('run works a batch off, its last line is how it ended, and status shows that as JSON', async () => {
    const { code, stderr } = await product.run(['run']);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^short: finished, \d+:\d\d \| #{24} 3\/3 ended: .+\n$/m);
    expect(stderr.endsWith(`${/^short: finished.+\n/m.exec(stderr)?.[0]}`)).toBe(true);
    expect(await product.run(['status', 'short', '--follow'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^short: finished\n/),
    });
    expect(await status('short')).toEqual({
      batch: 'short',
      repository: COMMANDER,
      simulated: true,
      tuned: { window: null, maxCostUsd: null, maxTokens: null, maxHours: null, slots: null },
      budget: { maxCostUsd: null, maxTokens: null, maxHours: null, reached: null },
      phase: 'finished',
      planned: 3,
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
        unpricedCalls: expect.any(Number),
        inputTokens: expect.any(Number),
        cachedInputTokens: expect.any(Number),
        outputTokens: expect.any(Number),
        reasoningTokens: expect.any(Number),
        costUsd: null,
        hours: expect.any(Number),
      },
      projected: { costUsd: null, hoursLeft: 0, perAcceptedUsd: null },
      endpoints: expect.any(Array),
    });
  });

  it('preview runs a sample to its end and shows it, once, with what the batch would take', async () => {
    const shown = await done('preview');
    expect(shown).toMatch(/^short-preview-[0-9a-f]{6}\/000000-/);
    expect(shown).toContain('--- rollout 1: submitted');
    expect(shown).toContain('3 samples of short, by estimate:\ninput tokens');
    const twice = JSON.parse(await done('preview', '--json')) as Preview;
    expect(shown).toContain(`this preview: ${twice.state.spent.calls} calls,`);
    expect(twice.samples).toHaveLength(1);
    expect(twice.estimate.basis).toMatch(/^\d+ samples? of the same configuration: /);
  });

  it('tune lets a batch that had reached its cap go on, with another window and other slots', async () => {
    const price = ['--set', 'teacher.price.input=100', '--set', 'teacher.price.output=100'];
    const capped = await product.run(['run', '--name', 'capped', ...price, '--max-cost', '0.01']);
    expect(capped.code).toBe(4);
    expect(capped.stdout).toContain('next: twinpatch tune capped --max-cost MORE\n');
    expect((await product.containers()).join()).not.toContain('-capped_');
    const tune = async (...values: string[]) =>
      JSON.parse(await done('tune', 'capped', ...values, '--json')) as BatchState;
    expect(await tune('--max-cost', '1000', '--max-tokens', '1')).toMatchObject({
      phase: 'budget reached',
      budget: { maxCostUsd: 1000, maxTokens: 1, reached: 'tokens' },
    });
    const state = await tune('--max-tokens', 'auto', '--window', '2', '--slots', '2');
    const tuned = { window: 2, maxCostUsd: 1000, maxTokens: null, slots: 2 };
    expect(state).toMatchObject({ phase: 'running', tuned });
    expect(await done('status', 'capped', '--follow')).toContain('capped: finished\n');
    expect(await status('capped')).toMatchObject({ held: 0, unfinished: 0, tuned });
    await done('tune', 'capped', '--slots', 'auto');
  });

  it('show gives a sample as JSON, found by the start of its key', async () => {
    const ends = await endsOf();
    const [key = ''] = [...ends].find(([, { verdict }]) => verdict.kind === 'verified') ?? [];
    const view = JSON.parse(await done('show', `short/${key.slice(0, 8)}`, '--json')) as SampleView;
    expect(view).toMatchObject({
      batch: 'short',
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

  it('status --rebuild finds from the results how samples ended, when the summary is lost', async () => {
    const before = await endsOf();
    rmSync(join(product.folder, '.twinpatch/store/batches/short/summary'), { recursive: true });
    expect(await status('short')).toMatchObject({ unfinished: 3 });
    const state = JSON.parse(await done('status', 'short', '--rebuild', '--json')) as BatchState;
    expect(state).toMatchObject({ phase: 'finished', unfinished: 0 });
    expect(await endsOf()).toEqual(before);
  });

  it('retry does the chosen samples again, and leaves the others alone', async () => {
    const before = await endsOf();
    expect((await status('short')).verdicts).toMatchObject({
      verified: expect.any(Number),
      'unverifiable:self-check': expect.any(Number),
    });
    const where = ['--where', 'verdict=unverifiable:self-check'];
    const state = JSON.parse(await done('retry', 'short', ...where, '--json')) as BatchState;
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
    expect(await product.run(['retry', 'short', '--where', 'verdict=held'])).toMatchObject({
      code: 1,
      stderr:
        'error: no ended sample of short matches — verdict=held\nnext: twinpatch status short\n',
    });
    expect(await product.run(['retry', 'short', '--where', 'all'])).toMatchObject({ code: 2 });
    for (const command of ['pause', 'cancel']) {
      expect(await product.run([command, 'short'])).toEqual({
        code: 0,
        stdout: expect.stringMatching(
          /^short is finished already, 3\/3 ended: verified \d \(\d with recall >= 0\.5\), unverifiable \d\n$/,
        ),
        stderr: '',
      });
      expect(await product.run([command, 'long'])).toMatchObject({
        code: 1,
        stderr: 'error: long does not run\nnext: twinpatch resume long\n',
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

  async function status(batch: string): Promise<BatchState> {
    return JSON.parse(await done('status', batch, '--json')) as BatchState;
  }

  async function goOn(): Promise<void> {
    await done('resume', 'long', '--window', '1', '--detach');
    await underWay();
  }

  /** Somebody who watches the long batch in the foreground. */
  async function watch() {
    const watched = product.start(['resume', 'long', '--window', '1']);
    await until('it is watched', async () => watched.stderr().includes('under way'));
    return watched;
  }

  async function underWay(): Promise<void> {
    await until('a rollout is under way', async () => (await product.containers()).length > 0);
  }

  async function endsOf() {
    const outcomes = [...(await (await product.store()).ends.outcomes('short'))];
    return new Map(outcomes.map((outcome) => [outcome.key, outcome]));
  }
});
