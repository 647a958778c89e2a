import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TeacherError } from '../../domain/ports.ts';
import { sampleIndex } from '../../domain/ids.ts';
import type { RolloutResult } from '../../domain/sample.ts';
import type { VerificationFacts } from '../../domain/verification.ts';
import { runStage } from '../../activities/stage.ts';
import { runActivity, startActivity } from '../support/activity-context.ts';
import { bash, submit } from '../support/agent-script.ts';
import { toEnd, toSample, toSamples } from '../support/batch-fixture.ts';
import { BATCH, createStages, PATCH, type Stages } from '../support/stage-fixture.ts';

const say = (content: string) => ({ content });
const LEAKING = `<pull_request>Use this: \`name, value = line.split(':', 1)\`\n\n    return name.strip(), value.strip()</pull_request>`;
const PLAIN = '<pull_request>Headers whose value has a colon are cut short.</pull_request>';
const too = (length: string) => new TeacherError('context', `the prompt is too ${length}`);

let stages: Stages;
beforeEach(async () => {
  stages = await createStages();
});
afterEach(() => stages.remove());

/** A finished rollout 1 of a sample, after which the teacher's calls are counted anew. */
async function rollout1(index: number): Promise<RolloutResult> {
  stages.world.reply = ({ step }) => (step === 1 ? bash('ls') : submit);
  const result = await runActivity(() => stages.rollout(stages.rolloutOf(index)));
  stages.world.calls.length = 0;
  stages.world.requests.length = 0;
  return result;
}

test('the checkout passes on what is wrong with the image', async () => {
  const checkout = () => runActivity(() => stages.checkout(stages.of(1)));
  expect(await checkout()).not.toHaveProperty('warnings');
  stages.world.warnings = ['The set-up left a copy.'];
  expect(await runActivity(() => stages.checkout(stages.of(2)))).toMatchObject({
    warnings: ['The set-up left a copy.'],
  });
});

describe('the self-check', () => {
  const check = (rollout: string) =>
    runActivity(() => stages.selfCheck({ ...stages.of(1), attempt: 1, rollout1: rollout }));

  test.each([
    ['yes', ['<verdict>yes</verdict>'], 'yes', 1],
    ['no', ['<verdict>no</verdict>'], 'no', 1],
    ['yes, once it can be read', ['Well…', 'Hm.', '<verdict>YES</verdict>'], 'yes', 3],
    ['no, when it can not be read thrice', ['Well…'], 'no', 3],
  ])('says %s', async (_what, answers, answer, calls) => {
    const { key } = await rollout1(1);
    stages.world.reply = ({ step }) => say(answers[Math.min(step, answers.length) - 1] ?? '');
    const result = await check(key);
    expect(result).toMatchObject({
      answer,
      spent: { costUsd: expect.closeTo(calls * 0.01) as number },
    });
    expect(stages.world.calls).toHaveLength(calls);
    expect(await check(key)).toEqual(result);
    expect(stages.world.calls).toHaveLength(calls);
  });

  test('shows the teacher less of the steps when it finds them too long', async () => {
    stages.world.reply = ({ step }) =>
      step === 1 ? { ...bash('ls'), content: 'x'.repeat(200_000) } : submit;
    const { key } = await runActivity(() => stages.rollout(stages.rolloutOf(1)));
    stages.world.requests.length = 0;
    stages.world.reply = ({ step }) => (step === 1 ? too('long') : say('<verdict>yes</verdict>'));
    expect((await check(key)).answer).toBe('yes');
    const [first = 0, second = 0] = stages.world.requests.map(
      ({ messages }) => messages[0]?.content.length,
    );
    expect(first).toBeGreaterThan(200_000);
    expect(second).toBeLessThan(70_000);
  });

  test('of a rollout that is not in the store is an invalid sample', async () => {
    await expect(check('rollout-1.1-gone')).rejects.toMatchObject({
      type: 'InvalidSample',
      nonRetryable: true,
    });
  });
});

describe('the pull-request text', () => {
  const write = (index: number, rollout: string) =>
    runActivity(() => stages.synthesizePr({ ...stages.of(index), attempt: 1, rollout1: rollout }));

  test('that gives the patch away is written again, and the best is kept', async () => {
    const { key } = await rollout1(1);
    stages.world.reply = ({ scope }) => say(scope.endsWith('.3') ? PLAIN : LEAKING);
    const result = await write(1, key);
    expect(result).toMatchObject({ tries: 3, duplicateOf: null });
    expect(result.leak).toBeLessThan(0.5);
    const text = Buffer.from(await stages.store.blobs.get(result.text!)).toString();
    expect(text).toBe('Headers whose value has a colon are cut short.');
    const asked = stages.world.requests.map(({ messages }) => messages[0]?.content ?? '');
    expect(asked.map((prompt) => prompt.includes('<avoid>'))).toEqual([false, true, true]);
    expect(asked[1]).toContain('- return name.strip(), value.strip()');
    expect(await write(1, key)).toEqual(result);
    expect(stages.world.calls).toHaveLength(3);
  });

  test('is written at most three times, and never refused for its leak', async () => {
    const { key } = await rollout1(1);
    stages.world.reply = () => say(LEAKING);
    const result = await write(1, key);
    expect(result).toMatchObject({ tries: 3, spent: { costUsd: 0.03 } });
    expect(result.leak).toBeGreaterThan(0.5);
    expect(result.text).not.toBeNull();
  });

  test('that can not be read is none', async () => {
    const { key } = await rollout1(1);
    stages.world.reply = () => say('I would rather not.');
    expect(await write(1, key)).toMatchObject({ text: null, tries: 1, spent: { costUsd: 0.03 } });
  });

  test('is not bought for a patch that another sample has', async () => {
    const [first, second] = [await rollout1(1), await rollout1(2)];
    stages.world.reply = () => say(PLAIN);
    expect((await write(1, first.key)).duplicateOf).toBeNull();
    stages.world.calls.length = 0;
    expect(await write(2, second.key)).toMatchObject({
      duplicateOf: stages.of(1).sampleKey,
      text: null,
      tries: 0,
      spent: { costUsd: 0 },
    });
    expect(stages.world.calls).toEqual([]);
  });
});

test('rollout 2 is told the pull-request text and nothing of the function or instruction', async () => {
  const { key } = await rollout1(1);
  stages.world.reply = () => say(PLAIN);
  const pr = await runActivity(() =>
    stages.synthesizePr({ ...stages.of(1), attempt: 1, rollout1: key }),
  );
  stages.world.requests.length = 0;
  stages.world.reply = () => submit;
  await runActivity(() => stages.rollout({ ...stages.rolloutOf(1), rollout: 2, pr: pr.key }));
  const [request] = stages.world.requests;
  const text = JSON.stringify(request?.messages);
  expect(text).toContain('Headers whose value has a colon are cut short.');
  expect(text).not.toContain('parse_1');
});

test('verification gives both recalls and the facts of both patches', async () => {
  const first = await rollout1(1);
  stages.world.extracted = {
    kind: 'patch',
    text: PATCH.replace("+    name, value = line.split(':', 1)\n", ''),
    facts: [],
  };
  const second = await rollout1(2);
  const { sampleKey, ...of } = stages.of(1);
  await stages.store.ledger.put({ batchId: BATCH, sampleKey, name: second.key }, second);
  const verified = await runActivity(() =>
    stages.verify({ ...of, sampleKey, rollout1: first.key, rollout2: second.key }),
  );
  expect(verified.exact).toMatchObject({ matched: 2, targetLines: 3 });
  expect(verified.sera.recall).toBeCloseTo(2 / 3);
  expect(verified.sameImage).toBe(true);
  const facts = await stages.store.blobs.getJson<VerificationFacts>(verified.facts);
  expect(facts).toMatchObject({
    target: { files: 1, added: 2, touchesTarget: true },
    produced: { files: 1, added: 1 },
    files: [{ path: 'http/headers.py', matched: 2 }],
    variants: { core: { matched: 2 }, ignoringWhitespace: { matched: 2 } },
    behaviour: { rollout1: { steps: 3 }, shared: { actions: 1, filesRead: null } },
  });
  // The hunk's header still counts the line that was taken out.
  expect(facts.judgement).toEqual({ applies: false, parses: null, unparsable: [] });
});

test('verification says of a patch that fits whether it parses, and of the pull request what it gives away', async () => {
  const first = await rollout1(1);
  stages.world.reply = () => say(LEAKING);
  const of = { ...stages.of(1), rollout1: first.key };
  const pr = await runActivity(() => stages.synthesizePr({ ...of, attempt: 1 }));
  const verified = await runActivity(() =>
    stages.verify({ ...of, rollout2: first.key, pr: pr.key }),
  );
  const facts = await stages.store.blobs.getJson<VerificationFacts>(verified.facts);
  expect(facts.leak).toMatchObject({ score: pr.leak, lines: 1 });
  expect(facts.judgement).toEqual({ applies: true, parses: true, unparsable: [] });
});

describe('the manifest', () => {
  const load = (from = 0) => runActivity(() => stages.loadPage({ batchId: BATCH, from, count: 3 }));

  test('is read in pages of samples that have no content verdict', async () => {
    await stages.store.ends.record(BATCH, toEnd(stages.of(1).sampleKey));
    const held = { kind: 'held', class: 'budget' } as const;
    await stages.store.ends.record(BATCH, toEnd(stages.of(2).sampleKey, { verdict: held }));
    const first = await load();
    expect(first).toMatchObject({ next: 4, planned: 4 });
    expect(first.samples.map(({ key }) => key)).toEqual(
      [0, 2, 3].map((index) => stages.of(index).sampleKey),
    );
    expect(first.samples[0]?.title).toBe('parse_0 in http/headers.py');
    expect(await load(3)).toMatchObject({ next: 4, samples: [{ generation: 1 }] });
  });

  test('is skipped where all is done, however long that is', async () => {
    await stages.store.batches.append(BATCH, toSamples(1_010));
    const done = toSamples(1_003);
    await Promise.all(done.map(({ key }) => stages.store.ends.record(BATCH, toEnd(key))));
    const { samples, next } = await load();
    expect(samples.map(({ key }) => sampleIndex(key))).toEqual([1_003, 1_004, 1_005]);
    expect(next).toBe(1_006);
  });

  test('gives a renewed sample in its new generation', async () => {
    const { sampleKey } = stages.of(0);
    await stages.store.ends.record(BATCH, toEnd(sampleKey));
    await stages.store.ends.renew(BATCH, sampleKey);
    expect((await load()).samples[0]).toMatchObject({ key: sampleKey, generation: 2 });
  });

  test.each(['漢', '😀', '"', 'é', 'x'])(
    'cuts a title of %s to what the server takes',
    async (c) => {
      const odd = toSample(4);
      odd.target.name = c.repeat(500);
      await stages.store.batches.append(BATCH, [odd]);
      const [sample] = (await load(4)).samples;
      expect(Buffer.byteLength(JSON.stringify(sample?.title))).toBeLessThanOrEqual(400);
      expect(sample?.title).toMatch(/…$/);
      expect(sample?.title.isWellFormed()).toBe(true);
    },
  );

  test.each([
    ['of another store', { batchId: 'elsewhere', from: 0, count: 3 }],
    ['that is not there', { batchId: 'missing', from: 0, count: 3 }],
  ])('of a batch %s is refused', async (_which, input) => {
    await stages.store.batches.put({ ...stages.batch, id: 'elsewhere', storeId: 'other' });
    await expect(runActivity(() => stages.loadPage(input))).rejects.toMatchObject({
      type: 'ForeignStore',
      nonRetryable: true,
      message: expect.stringContaining('start a worker for its store') as string,
    });
  });
});

describe('every stage', () => {
  test('that would return more than may travel fails for good', async () => {
    const large = () => runStage('x', async () => 'x'.repeat(2 * 1024 * 1024));
    await expect(runActivity(large)).rejects.toMatchObject({
      type: 'PayloadTooLarge',
      nonRetryable: true,
    });
  });

  test('beats before its first slow call', async () => {
    const { beats, result } = startActivity(() => runStage('preparing', async () => 1));
    expect(beats).toEqual([{ phase: 'preparing' }]);
    await result;
  });
});
