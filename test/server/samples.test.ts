/** Every way a sample can go, with stages that follow a script on a real server. */

import { DefaultLogger, Runtime } from '@temporalio/worker';
import proto from '@temporalio/proto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { batchWorkflowId, MAIN_QUEUE, sampleWorkflowId } from '../../domain/ids.ts';
import { bundleWorkflows } from '../../worker/build-bundle.ts';
import {
  BATCH,
  FAILURE,
  OUTCOME,
  RECALL,
  REPO,
  STAGE,
  TOKENS,
} from '../../workflows/attributes.ts';
import type { BatchInput } from '../../workflows/messages.ts';
import {
  budgetReached,
  createFakeBatch,
  type FakeBatch,
  noImage,
  type Script,
  startFakeWorker,
} from '../support/fake-stages.ts';
import { recordHistory } from '../support/record-history.ts';
import { startTestServer, type TestServer } from '../support/temporal-server.ts';

const EMPTY = { patch: null };
const MODES_ONLY = {
  patch: { ref: `sha256:${'0'.repeat(64)}`, bytes: 90, files: 1, countedLines: 0 },
} as const;
const ALL = ['checkout', 'rollout-1', 'self-check', 'synthetic-pr', 'rollout-2', 'verify'];

/** `done`: the stages whose results stand in the sample's end. */
const PATHS: Record<string, { script: Script; verdict: string; done: string[]; attempt?: number }> =
  {
    'accepted at the first attempt': { script: {}, verdict: 'verified', done: ALL, attempt: 1 },
    'accepted at the third attempt': {
      script: { checks: ['no', 'no', 'yes'] },
      verdict: 'verified',
      done: ALL,
      attempt: 3,
    },
    'an attempt after a rollout without a patch': {
      script: { rollouts: [EMPTY, { status: 'step-limit' }, {}] },
      verdict: 'verified',
      done: ALL,
      attempt: 3,
    },
    'three times no': {
      script: { checks: ['no', 'no', 'no'] },
      verdict: 'unverifiable:self-check',
      done: ['checkout', 'rollout-1', 'self-check'],
      attempt: 3,
    },
    'no patch in any attempt': {
      script: { rollouts: [EMPTY] },
      verdict: 'unverifiable:empty-patch',
      done: ['checkout', 'rollout-1'],
      attempt: 3,
    },
    'a patch of modes only': {
      script: { rollouts: [MODES_ONLY] },
      verdict: 'unverifiable:uncountable-patch',
      done: ['checkout', 'rollout-1'],
      attempt: 3,
    },
    'a patch over the caps': {
      script: { rollouts: [{ patch: null, oversized: 'more than 1048576 bytes' }] },
      verdict: 'unverifiable:oversized-patch',
      done: ['checkout', 'rollout-1'],
      attempt: 3,
    },
    'the step limit in every attempt': {
      script: { rollouts: [{ status: 'step-limit' }] },
      verdict: 'unverifiable:step-limit',
      done: ['checkout', 'rollout-1'],
      attempt: 3,
    },
    'the patch of another sample': {
      script: { pr: { duplicateOf: '000000-aaaaaa' } },
      verdict: 'unverifiable:duplicate',
      done: ['checkout', 'rollout-1', 'self-check'],
      attempt: 1,
    },
    'no usable pull-request text': {
      script: { pr: { text: null } },
      verdict: 'unverifiable:no-pr',
      done: ['checkout', 'rollout-1', 'self-check', 'synthetic-pr'],
      attempt: 1,
    },
    'an image that is nowhere': {
      script: { checkout: noImage },
      verdict: 'infrastructure:ImageNotFound',
      done: [],
    },
    'a spent budget': {
      script: { during: budgetReached },
      verdict: 'held:budget',
      done: ['checkout'],
    },
  };
const NAMES = Object.keys(PATHS);
const FIXTURES: Record<string, string> = {
  'accepted at the first attempt': 'sample-first-attempt',
  'accepted at the third attempt': 'sample-three-attempts',
  'three times no': 'sample-unverifiable',
  'an image that is nowhere': 'sample-infrastructure',
  'a spent budget': 'sample-held',
};

describe('a sample with', () => {
  let server: TestServer;
  let batch: FakeBatch;
  let stop: () => Promise<void>;

  beforeAll(async () => {
    Runtime.install({ logger: new DefaultLogger('ERROR') });
    const [code, started] = await Promise.all([bundleWorkflows(), startTestServer()]);
    server = started;
    batch = createFakeBatch(NAMES.length, (index) => PATHS[NAMES[index]!]!.script);
    stop = await startFakeWorker(server.connection, code, batch);
    const input: BatchInput = { batchId: 'paths', repository: 'example', window: NAMES.length };
    await server.client.workflow.execute('batchWorkflow', {
      taskQueue: MAIN_QUEUE,
      workflowId: batchWorkflowId('paths'),
      args: [input],
    });
    for (const [name, fixture] of Object.entries(FIXTURES)) {
      await recordHistory(server.client, idOf(name), fixture);
    }
  });
  afterAll(async () => {
    await stop?.();
    await server?.close();
  });

  const idOf = (name: string) =>
    sampleWorkflowId('paths', batch.manifest[NAMES.indexOf(name)] ?? '');
  const described = (name: string) => server.client.workflow.getHandle(idOf(name)).describe();
  const detailsOf = async (name: string) => {
    const handle = server.client.workflow.getHandle(idOf(name));
    const metadata = await handle.query<{ currentDetails?: string }>(
      '__temporal_workflow_metadata',
    );
    return metadata.currentDetails ?? '';
  };

  test.each(NAMES)('%s ends with its verdict, and says which stages are done', async (name) => {
    const { verdict, done, attempt } = PATHS[name]!;
    const index = NAMES.indexOf(name);
    expect(batch.verdicts()[index]).toBe(verdict);
    const end = batch.ends.get(batch.manifest[index] ?? '');
    expect(Object.keys(end?.results ?? {})).toEqual(done);
    expect(end?.attempt).toBe(attempt);
    // Its batch hears of its end a moment before.
    await expect
      .poll(async () => (await described(name)).status.name)
      .toBe(verdict.startsWith('infrastructure') ? 'FAILED' : 'COMPLETED');
    const { typedSearchAttributes } = await described(name);
    expect(typedSearchAttributes.get(STAGE)).toBe('ended');
    expect(typedSearchAttributes.get(OUTCOME)).toBe(verdict);
    expect(typedSearchAttributes.get(BATCH)).toBe('paths');
    expect(typedSearchAttributes.get(REPO)).toBe('example');
  });

  test('a recall shows it, with cost and tokens, where people look', async () => {
    const name = 'accepted at the third attempt';
    const { typedSearchAttributes, staticSummary } = await described(name);
    expect(typedSearchAttributes.get(RECALL)).toBeCloseTo(0.8387);
    // Three rollouts 1, three self-checks, a text and a rollout 2.
    expect(typedSearchAttributes.get(TOKENS)).toBe(8 * (1_234_567 + 23_456));
    expect(await staticSummary()).toMatch(/^parse in http\/.*\.py$/);
    expect(await detailsOf(name)).toMatch(
      /^\*\*verified\*\*, recall 0\.84\n\n10064184 tokens, \$0\.98/,
    );
  });

  test('permanent trouble fails, and can be found by its class', async () => {
    const name = 'an image that is nowhere';
    expect((await described(name)).typedSearchAttributes.get(FAILURE)).toBe('ImageNotFound');
    expect(await detailsOf(name)).toContain('image nowhere:1 is in no registry');
    await expect(server.client.workflow.result(idOf(name))).rejects.toMatchObject({
      cause: { type: 'ImageNotFound', message: 'image nowhere:1 is in no registry' },
    });
  });

  test.each([
    ['accepted at the first attempt', 60, 25 * 1024],
    ['accepted at the third attempt', 90, 38 * 1024],
  ])('%s has a short history', async (name, mostEvents, mostBytes) => {
    const { events } = await server.client.workflow.getHandle(idOf(name)).fetchHistory();
    const bytes = proto.temporal.api.history.v1.History.encode({ events: events ?? [] }).finish();
    expect(events?.length).toBeLessThanOrEqual(mostEvents);
    expect(bytes.length).toBeLessThanOrEqual(mostBytes);
  });
});
