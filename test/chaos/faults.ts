/** Faults that a host does to a batch at work, and the repair that people do after each. */

import { setTimeout as sleep } from 'node:timers/promises';
import { connectEngine, statusOf } from '../../sandbox/engine.ts';
import { createReaper } from '../../sandbox/reaper.ts';
import { isRunning, type Product, until } from '../support/product.ts';

export const FAULTS = [
  'worker-kill',
  'server-kill',
  'worker-and-server-kill',
  'worker-stop',
  'worker-drain',
  'host-loss',
  'container-remove',
  'container-kill',
  'container-pause',
] as const;
export type Fault = (typeof FAULTS)[number];

/**
 * What a fault may have bought again at most, for each rollout that it can hit: the reply on its way, and the steps since the last
 * saved tree where the container goes too.
 */
export const COSTS: Record<
  Fault,
  { rollouts: 'one' | 'all'; steps: 'in-flight' | 'unsaved' | 'none' }
> = {
  'worker-kill': { rollouts: 'all', steps: 'in-flight' },
  'server-kill': { rollouts: 'all', steps: 'none' },
  'worker-and-server-kill': { rollouts: 'all', steps: 'in-flight' },
  'worker-stop': { rollouts: 'all', steps: 'in-flight' },
  'worker-drain': { rollouts: 'all', steps: 'unsaved' },
  'host-loss': { rollouts: 'all', steps: 'unsaved' },
  'container-remove': { rollouts: 'one', steps: 'unsaved' },
  'container-kill': { rollouts: 'one', steps: 'unsaved' },
  'container-pause': { rollouts: 'one', steps: 'unsaved' },
};

/** Injects it and repairs what has to be repaired; returns when that is done. `pick` chooses an index below a count. */
export async function inject(
  product: Product,
  fault: Fault,
  options: { stopMs: number; pick: (count: number) => number; env: Record<string, string> },
): Promise<void> {
  switch (fault) {
    case 'worker-kill':
      await product.kill('worker');
      return up(product, options.env);
    case 'server-kill':
      await product.kill('server');
      return up(product, options.env);
    case 'worker-and-server-kill':
      await Promise.all([product.kill('worker'), product.kill('server')]);
      return up(product, options.env);
    case 'worker-stop': {
      const pid = product.pidOf('worker');
      process.kill(pid, 'SIGSTOP');
      await sleep(options.stopMs);
      process.kill(pid, 'SIGCONT');
      return;
    }
    case 'worker-drain': {
      const pid = product.pidOf('worker');
      process.kill(pid, 'SIGTERM');
      await until('the worker has ended', async () => !isRunning(pid));
      return up(product, options.env);
    }
    case 'host-loss': {
      await product.kill('worker');
      const installation = (await product.store()).id;
      await createReaper({ engine: await connectEngine(), installation }).removeAll();
      return up(product, options.env);
    }
    case 'container-remove':
      return toContainer(product, options.pick, (container) => container.remove({ force: true }));
    case 'container-kill':
      return toContainer(product, options.pick, (container) => container.kill());
    case 'container-pause':
      return toContainer(product, options.pick, (container) => container.pause());
  }
}

// --- internal ---

async function up(product: Product, env: Record<string, string>): Promise<void> {
  const { code, stderr } = await product.run(['up'], env);
  if (code !== 0) throw new Error(`twinpatch up ended with code ${code}: ${stderr}`);
}

type Container = ReturnType<Awaited<ReturnType<typeof connectEngine>>['docker']['getContainer']>;

/** Nothing, where no rollout has a container just now, or it has gone by itself meanwhile. */
async function toContainer(
  product: Product,
  pick: (count: number) => number,
  act: (container: Container) => Promise<unknown>,
): Promise<void> {
  const names = await product.containers();
  const name = names[pick(names.length)];
  if (name === undefined) return;
  const { docker } = await connectEngine();
  try {
    await act(docker.getContainer(name.slice(1)));
  } catch (error) {
    if (statusOf(error) !== 404 && statusOf(error) !== 409) throw error;
  }
}
