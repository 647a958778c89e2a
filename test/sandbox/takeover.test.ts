import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterAll, describe, expect, it } from 'vitest';

import { toEngineLabels } from '../../domain/ids.ts';
import type { PreparedSandbox } from '../../domain/ports.ts';
import { containerName } from '../../sandbox/container.ts';
import { connectEngine } from '../../sandbox/engine.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { count } from '../support/counts.ts';
import type { OwnerOrder } from '../support/owner-process.ts';
import { LIMITS, prepareTree, uniqueName } from '../support/sandbox-fixture.ts';
import { run } from '../support/sandbox-suite.ts';

const installation = uniqueName('takeover');
const engine = await connectEngine();
const imageId = await prepareTree(engine, installation, {});
const sandboxes = createSandboxes({ engine, installation });
const owners = new Set<ChildProcess>();

afterAll(async () => {
  for (const owner of owners) owner.kill('SIGKILL');
  await sandboxes.removeAll();
  await sandboxes.removeImages([imageId]);
});

interface Owner {
  child: ChildProcess;
  /** Sends an order; the promise is its answer, or undefined when the owner is killed first. */
  order(order: OwnerOrder): Promise<Record<string, unknown> | undefined>;
}

/** A process that is ready to own sandboxes. */
async function startOwner(leaseMs = 60_000): Promise<Owner> {
  const script = fileURLToPath(new URL('../support/owner-process.ts', import.meta.url));
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', script, installation, String(leaseMs)],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  owners.add(child);
  const lines: Interface = createInterface({ input: child.stdout });
  const next = () =>
    new Promise<string | undefined>((resolve) => {
      lines.once('line', resolve);
      lines.once('close', () => resolve(undefined));
    });
  expect(await next()).toBe('"ready"');
  return {
    child,
    async order(order) {
      const answer = next();
      child.stdin.write(`${JSON.stringify(order)}\n`);
      const line = await answer;
      return line === undefined ? undefined : (JSON.parse(line) as Record<string, unknown>);
    },
  };
}

function specOf(rollout: string, epoch: number) {
  const labels = { batch: 'b', sample: 's', rollout };
  return { imageId, limits: LIMITS, epoch, labels };
}

async function startSandbox(rollout: string, epoch = 1) {
  return sandboxes.start(specOf(rollout, epoch), new AbortController().signal);
}

describe('a sandbox whose owner is killed', () => {
  const kills = count(20, 200);

  it(
    `F1, I1: runs every command exactly once and gives the next owner its result, ${kills} times at random points`,
    async () => {
      const rollout = 'b/s/rollout-1.1';
      const sandbox = await startSandbox(rollout);
      let owner = await startOwner();
      let epoch = 1;
      for (let step = 1; step <= kills; step++) {
        const standby = startOwner();
        // Long enough to be cut anywhere: before it connects, before it asks, in the command, after the answer.
        const command = `echo ${step} >>counter; sleep 0.0${step % 10}; echo "step ${step}"; wc -l <counter`;
        const request = { rollout, id: `step-${step}`, command };
        const answer = owner.order({ ...request, epoch });
        await sleep(Math.random() * 250);
        owner.child.kill('SIGKILL');
        owners.delete(owner.child);
        const seen = await answer;

        owner = await standby;
        const result = await owner.order({ ...request, epoch: (epoch += 1) });
        expect(result).toMatchObject({
          end: 'exited',
          exitCode: 0,
          output: `step ${step}\n${step}\n`,
        });
        if (seen !== undefined) expect(result).toEqual(seen);
      }
      const last = await owner.order({ rollout, epoch, id: 'count', command: 'cat counter' });
      expect(last).toMatchObject({
        output: Array.from({ length: kills }, (_, index) => `${index + 1}\n`).join(''),
      });
      await sandbox.close();
    },
    60_000 + kills * 5_000,
  );

  it('I3: refuses an owner that was stopped, when it goes on after another has taken over', async () => {
    const rollout = 'b/s/rollout-1.2';
    const sandbox = await startSandbox(rollout);
    const [old, young] = await Promise.all([startOwner(), startOwner()]);
    const order = (id: string, epoch: number) => ({
      rollout,
      epoch,
      id,
      command: `echo ${id} >>counter; cat counter`,
    });
    expect(await old.order(order('a', 2))).toMatchObject({ output: 'a\n' });
    old.child.kill('SIGSTOP');
    expect(await young.order(order('b', 3))).toMatchObject({ output: 'a\nb\n' });
    const late = old.order(order('c', 2));
    old.child.kill('SIGCONT');
    expect(await late).toMatchObject({
      error: 'SandboxLost',
      message: expect.stringContaining('newer epoch'),
    });
    expect(await young.order(order('d', 3))).toMatchObject({ output: 'a\nb\nd\n' });
    await sandbox.close();
  });

  describe('that another has taken over', () => {
    const rollout = 'b/s/rollout-1.4';
    const say = async (sandbox: PreparedSandbox | undefined) =>
      sandbox && (await run(sandbox, 'echo mine')).output;
    const newer = {
      name: 'SandboxLost',
      message: expect.stringContaining('newer epoch') as string,
    };

    it('I3: is not removed by the older owner, who wants to close it or to start it again', async () => {
      const old = await startSandbox(rollout);
      const young = await sandboxes.find(rollout, 2, LIMITS);
      await expect(startSandbox(rollout)).rejects.toMatchObject(newer);
      await old.close();
      expect(await say(young)).toBe('mine\n');
      await young?.close();
      expect(await sandboxes.find(rollout, 3, LIMITS)).toBeUndefined();
    });

    it('I3: nor before its new owner has said a word, nor after it has ended', async () => {
      const young = await startSandbox(rollout, 2);
      await expect(startSandbox(rollout)).rejects.toMatchObject(newer);
      expect(await sandboxes.find(rollout, 1, LIMITS)).toBeUndefined();
      expect(await say(young)).toBe('mine\n');
      await engine.docker.getContainer(young.ref.container).kill();
      await expect(startSandbox(rollout)).rejects.toMatchObject(newer);
      await young.close();
    });

    it('I3: nor while it is only made, and gives way to the next', async () => {
      const made = await engine.docker.createContainer({
        name: containerName(installation, rollout),
        Image: imageId,
        Entrypoint: ['true'],
        Labels: toEngineLabels({ installation, role: 'rollout', rollout, epoch: '2' }),
      });
      await expect(startSandbox(rollout)).rejects.toMatchObject(newer);
      const next = await startSandbox(rollout, 3);
      expect(next.ref.container).not.toBe(made.id);
      expect(await say(next)).toBe('mine\n');
      await next.close();
    });

    it('gives way to a newer owner also where it is paused, or can not answer', async () => {
      const { ref } = await startSandbox(rollout);
      await engine.docker.getContainer(ref.container).pause();
      const next = await startSandbox(rollout, 2);
      expect(await say(next)).toBe('mine\n');
      await next.close();
      const mute = await engine.docker.createContainer({
        name: containerName(installation, rollout),
        Image: imageId,
        Entrypoint: ['sleep', '600'],
        Labels: toEngineLabels({ installation, role: 'rollout', rollout, epoch: '3' }),
      });
      await mute.start();
      // Where the sandbox itself can't say whose it is, the lease does.
      const outrun = sandboxes.start(
        { ...specOf(rollout, 4), isNewest: async () => false },
        new AbortController().signal,
      );
      await expect(outrun).rejects.toMatchObject(newer);
      expect((await mute.inspect()).State.Running).toBe(true);
      const last = await startSandbox(rollout, 4);
      expect(await say(last)).toBe('mine\n');
      await last.close();
    });

    it(
      "I11: is the newer one's alone, whenever both want it",
      async () => {
        for (let round = 0; round < count(6, 60); round++) {
          const epoch = 2 * round + 1;
          const old = await startSandbox(rollout, epoch);
          const away = sleep(Math.random() * 150)
            .then<unknown>(() => (round % 2 === 0 ? old.close() : startSandbox(rollout, epoch)))
            .catch((error: unknown) => error);
          await sleep(Math.random() * 150);
          const young =
            (await sandboxes.find(rollout, epoch + 1, LIMITS)) ??
            (await startSandbox(rollout, epoch + 1));
          expect(await say(young)).toBe('mine\n');
          const failure = await away;
          if (failure instanceof Error) expect(failure.name).toBe('SandboxLost');
          expect(await say(young)).toBe('mine\n');
          await young.close();
        }
      },
      count(60_000, 600_000),
    );
  });

  it('F1: ends itself, and what it left running, when no owner comes back for its lease', async () => {
    const rollout = 'b/s/rollout-1.3';
    const { ref } = await startSandbox(rollout);
    const owner = await startOwner(1500);
    const command = 'sleep 600 & echo started';
    await owner.order({ rollout, epoch: 2, id: 'left', command });
    const isRunning = async () =>
      (await engine.docker.getContainer(ref.container).inspect()).State.Running;
    await sleep(3000);
    expect(await isRunning()).toBe(true); // an owner with nothing to ask is an owner
    owner.child.kill('SIGKILL');
    await expect.poll(isRunning, { timeout: 10_000 }).toBe(false);
    expect(await sandboxes.find(rollout, 3, LIMITS)).toBeUndefined();
  });
});
