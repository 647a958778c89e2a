import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterAll, describe, expect, it } from 'vitest';

import { connectEngine } from '../../sandbox/engine.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { count } from '../support/counts.ts';
import type { OwnerOrder } from '../support/owner-process.ts';
import { LIMITS, prepareTree, uniqueName } from '../support/sandbox-fixture.ts';

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

async function startSandbox(rollout: string) {
  const labels = { batch: 'b', sample: 's', rollout };
  return sandboxes.start(
    { imageId, limits: LIMITS, epoch: 1, labels },
    new AbortController().signal,
  );
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
