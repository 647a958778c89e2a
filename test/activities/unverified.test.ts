import { afterEach, beforeEach, expect, test } from 'vitest';
import { finishedSamples } from '../../client/finished-samples.ts';
import { createFindLicence } from '../../client/licences.ts';
import { setVerification } from '../../client/verify-batch.ts';
import type { BatchConfig } from '../../domain/config.ts';
import { runActivity } from '../support/activity-context.ts';
import { bash, submit } from '../support/agent-script.ts';
import { toEnd } from '../support/batch-fixture.ts';
import { BATCH, createStages, type Stages } from '../support/stage-fixture.ts';

let stages: Stages;
beforeEach(async () => {
  stages = await createStages();
});
afterEach(() => stages.remove());

const load = (from = 0, count = 32) =>
  runActivity(() => stages.loadUnverified({ batchId: BATCH, from, count }));

/** A sample whose two rollouts gave the same patch, verified by the settings of then. */
async function finish(index: number): Promise<void> {
  stages.world.reply = ({ step }) => (step === 1 ? bash('ls') : submit);
  const { key } = await runActivity(() => stages.rollout(stages.rolloutOf(index)));
  const of = { ...stages.of(index), rollout1: key, rollout2: key };
  const verified = await runActivity(() => stages.verify(of));
  const results = { 'rollout-1': key, 'rollout-2': key, verify: verified.key };
  await stages.store.ends.record(BATCH, toEnd(of.sampleKey, { results }));
}

async function set(kinds: BatchConfig['verification']['kinds']): Promise<void> {
  const sets = [`verification.kinds=${JSON.stringify(kinds)}`];
  await setVerification(stages.store, stages.batch, sets, () => {});
}

/** Files by kind, of the patches of the samples as an export reads them. */
async function kindsNow(): Promise<(Record<string, number> | undefined)[]> {
  const batch = (await stages.store.batches.get(BATCH)) ?? stages.batch;
  const kinds = [];
  for await (const sample of finishedSamples(
    stages.store,
    batch,
    createFindLicence(stages.store),
  )) {
    const verification = await sample.verification?.();
    kinds.push(
      verification?.produced &&
        Object.fromEntries(Object.entries(verification.produced.kinds).filter(([, n]) => n > 0)),
    );
  }
  return kinds;
}

test('a batch is verified by other settings without a call to the teacher, once', async () => {
  await finish(0);
  await finish(1);
  await stages.store.ends.record(
    BATCH,
    toEnd(stages.of(2).sampleKey, { verdict: { kind: 'unverifiable', reason: 'no-pr' } }),
  );
  expect(await load()).toEqual({ samples: [], known: 2, next: 4, planned: 4 });
  expect(await kindsNow()).toEqual([{ source: 1 }, { source: 1 }, undefined]);

  stages.world.calls.length = 0;
  await set({ tests: ['http/**'] });
  const { samples, known } = await load();
  expect(samples.map(({ sampleKey }) => sampleKey)).toEqual(
    [0, 1].map((index) => stages.of(index).sampleKey),
  );
  expect(known).toBe(0);
  await runActivity(() => stages.verify(samples[0]!));
  // One is done, as after a kill in the middle; the other one still has what it ended with.
  expect(await kindsNow()).toEqual([{ tests: 1 }, { source: 1 }, undefined]);
  expect(await load()).toMatchObject({
    samples: [{ sampleKey: stages.of(1).sampleKey }],
    known: 1,
  });
  await runActivity(() => stages.verify(samples[1]!));
  expect(await load()).toMatchObject({ samples: [], known: 2 });
  expect(stages.world.calls).toEqual([]);

  // The results of the settings before are still there.
  await set({});
  expect(await load()).toMatchObject({ samples: [], known: 2 });
  expect(await kindsNow()).toEqual([{ source: 1 }, { source: 1 }, undefined]);
});

test('samples are asked for page by page', async () => {
  await finish(3);
  await set({ docs: ['http/**'] });
  expect(await load(0, 1)).toMatchObject({
    samples: [{ sampleKey: stages.of(3).sampleKey }],
    next: 4,
  });
  expect(await load(4, 1)).toMatchObject({ samples: [], known: 0, next: 4 });
});

test.each([
  ['teacher.temperature=1', 'changes what is bought'],
  ['verification.maxLeak=0.1', 'changes what is bought'],
  ['verification.kinds.test=[]', 'did you mean `tests`?'],
  ['verification.kinds.tests=["{a"]', 'verification.kinds.tests.0: the braces'],
])('%s is refused: %s', async (set, reason) => {
  const refused = setVerification(stages.store, stages.batch, [set], () => {});
  await expect(refused).rejects.toMatchObject({
    exitCode: 3,
    message: expect.stringContaining(reason) as string,
  });
  expect(await stages.store.batches.get(BATCH)).toEqual(stages.batch);
});
