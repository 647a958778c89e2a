import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { afterAll, describe, expect, it } from 'vitest';

import { type SandboxRole, toEngineLabels } from '../../domain/ids.ts';
import { connectEngine } from '../../sandbox/engine.ts';
import { execute } from '../../sandbox/exec.ts';
import { preparedTag } from '../../sandbox/image.ts';
import { keepOwned } from '../../sandbox/reaper.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { INITIAL_SHELL } from '../../sandbox/shell.ts';
import { isRunning } from '../../store/owner.ts';
import { LIMITS, prepareTree, uniqueName } from '../support/sandbox-fixture.ts';

const installation = uniqueName('reaper');
const engine = await connectEngine();
const imageId = await prepareTree(engine, installation, { 'a.txt': 'a\n' });
const ours = createSandboxes({ engine, installation });
const theirs = createSandboxes({ engine, installation: `${installation}-neighbour` });
const signal = new AbortController().signal;

const spec = (batch: string, sample: string) => ({
  imageId,
  limits: LIMITS,
  epoch: 1,
  labels: { batch, sample, rollout: `${batch}/${sample}/rollout-1.1` },
});
const ATTEMPT = { activity: 'rollout', workflowId: 'w', taskToken: 't' };
const byName = (a: string, b: string) => a.localeCompare(b);
const names = async (sandboxes: typeof ours) =>
  (await sandboxes.list()).map(({ labels }) => labels.rollout ?? '').toSorted(byName);

afterAll(async () => {
  await Promise.all([ours.removeAll(), theirs.removeAll()]);
  await ours.removeImages([imageId]);
  await Promise.all([ours.removeVolumes(), theirs.removeVolumes()]);
});

describe('reaping', () => {
  it('leaves those that prepare, whatever their state, and verifiers that run, while their process runs', async () => {
    const create = async (
      role: SandboxRole,
      end: 'created' | 'running' | 'exited',
      process?: string,
    ) => {
      const container = await engine.docker.createContainer({
        Image: imageId,
        Entrypoint: ['sleep', end === 'exited' ? '0' : '60'],
        Cmd: [],
        Labels: toEngineLabels({ installation, role, process }),
      });
      if (end !== 'created') await container.start();
      if (end === 'exited') await container.wait();
      return container.id;
    };
    const stay = await Promise.all([
      create('prepare', 'created', 'lives'),
      create('prepare', 'exited', 'lives'),
      create('verifier', 'created', 'lives'),
      create('verifier', 'running', 'lives'),
      create('prepare', 'running', 'elsewhere'),
    ]);
    const go = await Promise.all([
      create('verifier', 'exited', 'lives'),
      create('prepare', 'running', 'dead'),
      create('prepare', 'exited', 'dead'),
      create('verifier', 'created', 'dead'),
    ]);
    const states: Record<string, boolean> = { lives: true, dead: false };
    const working = (count: number) => ({
      attempts: { live: async () => Array.from({ length: count }, () => ATTEMPT) },
      leases: { ownerOf: async () => 'none' as const },
      runs: (process: string) => states[process],
    });
    const ids = (removed: { id: string }[]) => removed.map(({ id }) => id).sort();
    expect(ids(await ours.reap({ keep: await keepOwned(working(1)) }))).toEqual(go.sort());
    // No other host that uses this engine works on it either.
    expect(ids(await ours.reap({ keep: await keepOwned(working(0)) }))).toEqual([stay.pop()]);
    delete states['lives'];
    expect(ids(await ours.reap({ keep: await keepOwned(working(0)) }))).toEqual(stay.sort());
  });

  it(
    'F1: removes the container that a killed process prepared an image in, and it is prepared by another one',
    { timeout: 120_000 },
    async () => {
      const script = fileURLToPath(new URL('../support/prepare-process.ts', import.meta.url));
      const key = `${installation}-killed`;
      const prepare = (...setup: string[]) => {
        const child = spawn(process.execPath, [
          '--import',
          'tsx',
          script,
          installation,
          key,
          ...setup,
        ]);
        return { child, ended: once(child, 'exit') };
      };
      const preparing = async () =>
        (await ours.list()).filter(({ labels }) => labels.role === 'prepare');
      const first = prepare('touch /begun; sleep 600');
      const [container] = await expect
        .poll(preparing, { timeout: 60_000 })
        .toHaveLength(1)
        .then(preparing);
      const isBegun = () =>
        execute(engine, container?.id ?? '', {
          command: ['test', '-e', '/begun'],
          user: '0:0',
          timeoutMs: 10_000,
          onOutput: () => {},
        });
      await expect.poll(isBegun, { timeout: 60_000 }).toBe(0);
      const store = {
        attempts: { live: async () => [ATTEMPT] },
        leases: { ownerOf: async () => 'none' as const },
        runs: isRunning,
      };
      // A worker is at work all the time, and another one may be preparing as well.
      const reap = async () => ours.reap({ keep: await keepOwned(store) });
      expect(await reap()).toEqual([]);
      first.child.kill('SIGKILL');
      await first.ended;
      expect(await reap()).toMatchObject([{ id: container?.id }]);
      expect(await prepare('true').ended).toEqual([0, null]);
      expect(await preparing()).toEqual([]);
      expect(await ours.removeImages([preparedTag(installation, key)])).toHaveLength(1);
    },
  );

  it('F3: removes what nobody owns of this installation, and nothing of its neighbour', async () => {
    await Promise.all([
      ours.start(spec('one', 'a'), signal),
      ours.start(spec('one', 'b'), signal),
      ours.start(spec('two', 'a'), signal),
      theirs.start(spec('one', 'a'), signal),
    ]);
    const asked: string[] = [];
    const removed = await ours.reap({
      keep: async ({ labels }) => {
        asked.push(labels.rollout ?? '');
        return labels.sample === 'b';
      },
    });
    expect(asked.toSorted(byName)).toEqual([
      'one/a/rollout-1.1',
      'one/b/rollout-1.1',
      'two/a/rollout-1.1',
    ]);
    expect(removed).toHaveLength(2);
    expect(await names(ours)).toEqual(['one/b/rollout-1.1']);
    expect(await names(theirs)).toEqual(['one/a/rollout-1.1']);
  });

  it('T59: spares a container that only looks like ours', async () => {
    const lookalike = await engine.docker.createContainer({
      Image: imageId,
      Cmd: ['sleep', '60'],
      Labels: {
        'dev.twinpatch.installation': `${installation}x`,
        'dev.twinpatch.role': 'rollout',
        'dev.twinpatch.batch': 'one',
      },
    });
    try {
      await ours.removeAll();
      await expect(lookalike.inspect()).resolves.toBeDefined();
      expect(await names(ours)).toEqual([]);
    } finally {
      await lookalike.remove({ force: true, v: true });
    }
  });

  it('removes one batch only when asked for one', async () => {
    await Promise.all([ours.start(spec('one', 'a'), signal), ours.start(spec('two', 'a'), signal)]);
    expect(await ours.removeAll({ batch: 'one' })).toHaveLength(1);
    expect(await names(ours)).toEqual(['two/a/rollout-1.1']);
    await ours.removeAll();
  });
});

describe('starting', () => {
  it('F17: replaces what an earlier try of the same rollout left', async () => {
    const first = await ours.start(spec('again', 'a'), signal);
    const second = await ours.start(spec('again', 'a'), signal);
    expect(second.ref.container).not.toBe(first.ref.container);
    expect(await names(ours)).toEqual(['again/a/rollout-1.1']);
    await second.close();
    await second.close();
    expect(await names(ours)).toEqual([]);
  });

  it('keeps what runs of a rollout that was cut for its next owner, and nothing that has ended', async () => {
    const store = (isUnowned: boolean) => ({
      attempts: { live: async () => [] },
      runs: () => undefined,
      leases: { ownerOf: async () => (isUnowned ? ('gone' as const) : ('none' as const)) },
    });
    const names = async (isUnowned: boolean, forNextOwner: boolean) => {
      const keep = await keepOwned({ ...store(isUnowned), forNextOwner });
      return (await ours.reap({ keep })).map(({ labels }) => labels.sample);
    };
    await ours.start(spec('cut', 'a'), signal);
    expect(await names(true, true)).toEqual([]);
    expect(await names(false, true)).toEqual(['a']);
    const { ref } = await ours.start(spec('cut', 'b'), signal);
    await engine.docker.getContainer(ref.container).kill();
    expect(await names(true, true)).toEqual(['b']);
    await ours.start(spec('cut', 'c'), signal);
    expect(await names(true, false)).toEqual(['c']);
  });

  it('lets another process find a running sandbox and ask for a result again', async () => {
    const request = {
      id: 'once',
      command: 'echo run >>runs; cat runs',
      shell: INITIAL_SHELL,
      timeoutMs: 10_000,
      maxOutputBytes: 100,
    };
    const sandbox = await ours.start(spec('find', 'a'), signal);
    const result = await sandbox.run(request);
    const found = await createSandboxes({ engine, installation }).find(
      'find/a/rollout-1.1',
      2,
      LIMITS,
    );
    expect(found?.ref).toEqual(sandbox.ref);
    expect(await found?.run(request)).toEqual(result);
    await found?.close();
    expect(await ours.find('find/a/rollout-1.1', 2, LIMITS)).toBeUndefined();
    expect(await ours.find('find/none/rollout-1.1', 2, LIMITS)).toBeUndefined();
  });

  it('F2: leaves no container when it is called off', async () => {
    const abort = new AbortController();
    const work = ours.start(spec('off', 'a'), abort.signal);
    setTimeout(() => abort.abort(new Error('drained')), 60);
    await expect(work).rejects.toThrow('drained');
    await expect.poll(() => names(ours), { timeout: 10_000 }).toEqual([]);
  });

  it('says that a prepared image is gone', async () => {
    const missing = { ...spec('gone', 'a'), imageId: `sha256:${'0'.repeat(64)}` };
    await expect(ours.start(missing, signal)).rejects.toMatchObject({
      name: 'ImageError',
      kind: 'not-found',
    });
  });
});
