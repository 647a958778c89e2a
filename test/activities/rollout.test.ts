import { CancelledFailure } from '@temporalio/activity';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EngineUnavailable, type Sandbox, SandboxLost, TeacherError } from '../../domain/ports.ts';
import { runActivity, startActivity } from '../support/activity-context.ts';
import { bash, submit } from '../support/agent-script.ts';
import { toSent } from '../support/paid-calls.ts';
import { createStages, PATCH, type Stages } from '../support/stage-fixture.ts';

const ROLLOUT_ID = (key: string) => `headers/${key}/rollout-1.1`;
const losing = (sandbox: Sandbox): Sandbox => ({
  ...sandbox,
  run: () => Promise.reject(new SandboxLost('the container is gone')),
});

describe('a rollout', () => {
  let stages: Stages;
  const go = () => runActivity(() => stages.rollout(stages.rolloutOf(1)));

  beforeEach(async () => {
    stages = await createStages();
  });
  afterEach(() => stages.remove());

  test('gives a result of references, and its content is in the store', async () => {
    const result = await go();
    expect(result).toMatchObject({ status: 'submitted', steps: 2, wasted: { costUsd: 0 } });
    expect(result.spent).toMatchObject({ costUsd: 0.02, usage: { inputTokens: 200 } });
    expect(result.patch).toMatchObject({ files: 1, countedLines: 3, bytes: PATCH.length });
    expect(Buffer.from(await stages.store.blobs.get(result.patch!.ref)).toString()).toBe(PATCH);
    const entries = await stages.store.journals.read(result.journal);
    expect(entries.filter(({ kind }) => kind === 'reply')).toHaveLength(2);
    expect(JSON.stringify(result).length).toBeLessThan(2048);
  });

  test('that is done comes from the ledger: nobody is asked, nothing is started', async () => {
    const result = await go();
    const { calls } = stages.world;
    const asked = calls.length;
    stages.world.sandbox = () => {
      throw new Error('no sandbox was needed');
    };
    expect(await go()).toEqual(result);
    expect(calls).toHaveLength(asked);
  });

  test('shows its steps in heartbeats, and nothing of their content', async () => {
    stages.world.reply = ({ step }) => (step === 1 ? bash('echo secret') : submit);
    const { result, beats } = startActivity(() => stages.rollout(stages.rolloutOf(1)));
    await result;
    expect(beats[0]).toEqual({ phase: 'starting' });
    expect(JSON.stringify(beats)).not.toContain('secret');
  });

  test.each([
    { name: 'an empty patch', extracted: { kind: 'empty' } as const, expected: { patch: null } },
    {
      name: 'a patch over the caps',
      extracted: { kind: 'oversized', reason: 'more than 10000 entries' } as const,
      expected: { patch: null, oversized: 'more than 10000 entries' },
    },
  ])('keeps $name as what it is', async ({ extracted, expected }) => {
    stages.world.extracted = extracted;
    expect(await go()).toMatchObject(expected);
  });

  test('that loses its sandbox is tried again, and what it cost is booked as waste', async () => {
    stages.world.reply = ({ step }) => (step === 1 ? bash('ls') : submit);
    stages.world.sandbox = losing;
    await expect(go()).rejects.toMatchObject({ type: 'SandboxLost', nonRetryable: false });
    stages.world.sandbox = (sandbox) => sandbox;
    expect(await go()).toMatchObject({
      spent: { costUsd: 0.03 },
      wasted: { costUsd: 0.01, usage: { inputTokens: 100, outputTokens: 10 } },
    });
  });

  describe('that was cut', () => {
    const never = new Promise<never>(() => undefined);
    /** An owner that dies while it waits for the reply of a step: nothing of it ever goes on. */
    async function dieAt(step: number): Promise<void> {
      const asked = new Promise<void>((settle) => {
        stages.world.reply = (call) => {
          if (call.step === step) settle();
          return call.step < step ? bash(`echo ${call.step}`) : never;
        };
      });
      go().catch(() => undefined);
      await asked;
    }
    /** Of a rollout that is answered as this one is. */
    async function undisturbedTrajectory(): Promise<string> {
      const undisturbed = await createStages();
      undisturbed.world.reply = stages.world.reply;
      const { trajectory } = await runActivity(() => undisturbed.rollout(undisturbed.rolloutOf(1)));
      await undisturbed.remove();
      return trajectory;
    }
    const goOn = () => {
      stages.world.reply = ({ step }) => (step < 4 ? bash(`echo ${step}`) : submit);
    };
    test('goes on in its container, buys one reply again, and is told as if nothing had been', async () => {
      await dieAt(2);
      await dieAt(3);
      goOn();
      const result = await go();
      expect(stages.world.calls.map(({ step, try: number }) => `${step}.${number}`)).toEqual([
        '1.1',
        '2.1',
        '2.2',
        '3.1',
        '3.2',
        '4.1',
        '5.1',
      ]);
      expect(result).toMatchObject({
        steps: 5,
        spent: { costUsd: 0.05 },
        wasted: { costUsd: 0 },
        sandbox: { container: 'container-0' },
      });
      expect([...stages.world.open]).toEqual([]);
      const entries = await stages.store.journals.read(result.journal);
      expect(entries.filter(({ kind }) => kind === 'reply')).toHaveLength(5);
      const continued = entries.filter((entry) => 'mark' in entry && entry.mark === 'continued');
      expect(continued).toHaveLength(2);
      expect(result.trajectory).toBe(await undisturbedTrajectory());
    });

    test('goes on from its last saved tree where its container is gone, books what came after it, and the journal says so', async () => {
      stages.world.saving.everySteps = 1;
      await dieAt(3);
      const id = ROLLOUT_ID(stages.of(1).sampleKey);
      const dead = stages.store.journals.of({ rolloutId: id, epoch: 2, fruitless: 0 });
      const isSaved = async () =>
        ((await dead.before())?.entries ?? []).some((entry) => 'tree' in entry);
      while (!(await isSaved())) await sleep(5);
      stages.world.running.clear();
      goOn();
      const result = await go();
      expect(result).toMatchObject({
        steps: 5,
        spent: { costUsd: 0.05 },
        wasted: { costUsd: 0.01 },
        sandbox: { container: 'container-1' },
      });
      const entries = await stages.store.journals.read(result.journal);
      expect(entries).toContainEqual(
        expect.objectContaining({ mark: 'restored', epoch: 1, sandbox: result.sandbox }),
      );
      expect(result.trajectory).toBe(await undisturbedTrajectory());
    });

    test('has all that it did before saved when its next owner finds no teacher', async () => {
      await dieAt(3);
      stages.world.reply = () => new TeacherError('unavailable', 'down');
      await expect(go()).rejects.toMatchObject({ type: 'TeacherUnavailable' });
      expect([...stages.world.open]).toEqual([]);
      goOn();
      expect(await go()).toMatchObject({ spent: { costUsd: 0.05 }, wasted: { costUsd: 0 } });
    });

    test('begins again where its saved tree can not be restored', async () => {
      stages.world.reply = ({ step }) =>
        step < 3 ? bash(`echo ${step}`) : new TeacherError('unavailable', 'down');
      await expect(go()).rejects.toMatchObject({ type: 'TeacherUnavailable' });
      stages.world.restores = false;
      goOn();
      expect(await go()).toMatchObject({ spent: { costUsd: 0.05 }, wasted: { costUsd: 0.02 } });
      expect([...stages.world.open]).toEqual([]);
    });

    test('begins again where its container is gone, and what it had cost is booked as waste', async () => {
      await dieAt(3);
      stages.world.running.clear();
      goOn();
      expect(await go()).toMatchObject({
        steps: 5,
        spent: { costUsd: 0.05 },
        wasted: { costUsd: 0.02 },
        sandbox: { container: 'container-1' },
      });
    });

    test('begins again where the container is not the one that its journal tells of', async () => {
      await dieAt(3);
      const [rollout = '', sandbox] = [...stages.world.running][0] ?? [];
      const ref = { engine: 'e', container: 'another', imageId: 'sha256:image' };
      if (sandbox) stages.world.running.set(rollout, { ...sandbox, ref });
      goOn();
      expect(await go()).toMatchObject({ spent: { costUsd: 0.05 }, wasted: { costUsd: 0.02 } });
    });
  });

  test('that loses its sandbox at the same step again and again is held, not bought for ever', async () => {
    stages.world.sandbox = losing;
    const ends: unknown[] = [];
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      ends.push(await go().catch((error: { type: string }) => error.type));
    }
    expect(ends).toEqual(['SandboxLost', 'SandboxLost', 'SandboxLost', 'SandboxLost', 'Held']);
    expect(stages.world.calls).toHaveLength(4);
  });

  test('whose engine is away is not held for it', async () => {
    stages.world.sandbox = () => {
      throw new EngineUnavailable('no engine');
    };
    for (let attempt = 1; attempt <= 6; attempt += 1) {
      await expect(go()).rejects.toMatchObject({ type: 'EngineUnavailable', nonRetryable: false });
    }
  });

  test('is held when three owners in a row died before it got any further', async () => {
    const id = ROLLOUT_ID(stages.of(1).sampleKey);
    for (let owner = 1; owner <= 3; owner += 1) {
      await stages.store.journals.of(await stages.store.leases.take(id)).append(toSent(1));
    }
    await expect(go()).rejects.toMatchObject({
      type: 'Held',
      nonRetryable: true,
      details: ['no-progress'],
      message: expect.stringContaining(id) as string,
    });
    expect(stages.world.calls).toEqual([]);
    // Asked for once more, it is given another chance.
    expect(await go()).toMatchObject({ status: 'submitted' });
  });

  test('that another owner took over writes nothing', async () => {
    const id = ROLLOUT_ID(stages.of(1).sampleKey);
    const stop = (sandbox: Sandbox): Sandbox => ({
      ...sandbox,
      stop: async () => void (await stages.store.leases.take(id)),
    });
    stages.world.sandbox = stop;
    await expect(go()).rejects.toMatchObject({ type: 'LeaseLost', nonRetryable: false });
    const { batchId, sampleKey } = stages.of(1);
    expect(await stages.store.ledger.names(batchId, sampleKey)).toEqual([]);
  });

  test.each([
    ['goes well', (): void => undefined, undefined],
    ['loses its sandbox', () => (stages.world.sandbox = losing), 'SandboxLost'],
    [
      'has no teacher',
      () => (stages.world.reply = () => new TeacherError('unavailable', 'down')),
      'TeacherUnavailable',
    ],
    [
      'is out of budget',
      () => (stages.world.reply = () => new TeacherError('budget', 'cap')),
      'Held',
    ],
    ['meets a bug', () => (stages.world.reply = () => new Error('bug')), 'InternalError'],
  ])(
    'has no live lease any more, and a sandbox only to go on in, when it %s',
    async (_how, arrange, type) => {
      arrange();
      const end = await go().then(
        () => undefined,
        (error: { type: string }) => error.type,
      );
      expect(end).toBe(type);
      const isLeft = type === 'InternalError';
      expect([...stages.world.open]).toEqual(isLeft ? ['container-0'] : []);
      const owner = await stages.store.leases.ownerOf(ROLLOUT_ID(stages.of(1).sampleKey));
      expect(owner === 'live').toBe(type === 'SandboxLost');
    },
  );

  test('keeps its own reason when its sandbox can not be removed either', async () => {
    stages.world.sandbox = (sandbox) => ({
      ...losing(sandbox),
      close: () => Promise.reject(new EngineUnavailable('no engine')),
    });
    await expect(go()).rejects.toMatchObject({ type: 'SandboxLost' });
  });

  test('that has no teacher for a while goes on from its saved tree, and nothing of it is wasted', async () => {
    stages.world.reply = ({ step }) =>
      step === 1 ? bash('ls') : new TeacherError('unavailable', 'down');
    await expect(go()).rejects.toMatchObject({ type: 'TeacherUnavailable' });
    expect([...stages.world.open]).toEqual([]);
    stages.world.reply = () => submit;
    expect(await go()).toMatchObject({ spent: { costUsd: 0.03 }, wasted: { costUsd: 0 } });
    expect([...stages.world.open]).toEqual([]);
  });

  test('that is held at a budget goes on from its saved tree when it is asked for again', async () => {
    stages.world.reply = ({ step }) => (step < 3 ? bash('ls') : new TeacherError('budget', 'cap'));
    await expect(go()).rejects.toMatchObject({ type: 'Held' });
    expect([...stages.world.open]).toEqual([]);
    stages.world.reply = ({ step }) => (step < 3 ? bash('never asked') : submit);
    const result = await go();
    expect(result).toMatchObject({ spent: { costUsd: 0.04 }, wasted: { costUsd: 0 } });
    expect(stages.world.calls.map(({ step }) => step)).toEqual([1, 2, 3, 3, 4]);
  });

  test.each([
    ['cancelRequested', { name: 'CancelledFailure' }, []],
    [
      'workerShutdown',
      { type: 'Draining', nonRetryable: false, nextRetryDelay: 100 },
      ['container-0'],
    ],
    ['timedOut', { name: 'CancelledFailure' }, ['container-0']],
  ] as const)(
    'ends by %s at once, with a sandbox only for another attempt',
    async (why, expected, left) => {
      const { result, cancel } = startActivity(() => stages.rollout(stages.rolloutOf(1)));
      stages.world.reply = () => {
        cancel(why);
        return bash('ls');
      };
      const error: unknown = await result.catch((reason: unknown) => reason);
      expect(error).toMatchObject(expected);
      expect(error instanceof CancelledFailure).toBe(why !== 'workerShutdown');
      expect([...stages.world.open]).toEqual(left);
    },
  );
});
