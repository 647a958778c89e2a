/** Faults that a host does to a batch at work, and the repair that people do after each. */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Engine, statusOf } from '../../sandbox/engine.ts';
import { createReaper } from '../../sandbox/reaper.ts';
import type { Machine } from '../support/machine.ts';
import type { OwnEngine } from '../support/own-engine.ts';
import { isRunning, type Product, until } from '../support/product.ts';

/**
 * `times`: how often a kind comes in each turn of all. What it may have bought again at most: for one rollout or all, the reply on
 * its way, or where the container goes too the steps since the last saved tree.
 */
interface Kind {
  times: number;
  rollouts: 'one' | 'all';
  steps: 'none' | 'in-flight' | 'unsaved';
}

const ON_PRODUCT = {
  'worker-kill': { times: 4, rollouts: 'all', steps: 'in-flight' },
  'server-kill': { times: 3, rollouts: 'all', steps: 'none' },
  'worker-and-server-kill': { times: 3, rollouts: 'all', steps: 'in-flight' },
  'worker-stop': { times: 3, rollouts: 'all', steps: 'in-flight' },
  'worker-drain': { times: 2, rollouts: 'all', steps: 'unsaved' },
  'host-loss': { times: 2, rollouts: 'all', steps: 'unsaved' },
  'container-remove': { times: 4, rollouts: 'one', steps: 'unsaved' },
  'container-kill': { times: 3, rollouts: 'one', steps: 'unsaved' },
  'container-pause': { times: 3, rollouts: 'one', steps: 'unsaved' },
} satisfies Record<string, Kind>;

const ON_MACHINE = {
  'engine-kill-live-restore': { times: 1, rollouts: 'all', steps: 'in-flight' },
  'engine-kill': { times: 1, rollouts: 'all', steps: 'unsaved' },
  'engine-stop': { times: 1, rollouts: 'all', steps: 'none' },
  'engine-disk-full': { times: 1, rollouts: 'all', steps: 'unsaved' },
  'disk-full': { times: 2, rollouts: 'all', steps: 'in-flight' },
  'network-cut': { times: 2, rollouts: 'all', steps: 'in-flight' },
  'clock-jump': { times: 3, rollouts: 'all', steps: 'none' },
} satisfies Record<string, Kind>;

export type Fault = keyof typeof ON_PRODUCT | keyof typeof ON_MACHINE;
export const KINDS: Record<Fault, Kind> = { ...ON_PRODUCT, ...ON_MACHINE };

export function isFault(name: string): name is Fault {
  return name in KINDS;
}

/** Where a batch is at work. Without a machine and an engine of its own nothing is done to those. */
export interface Ground {
  product: Product;
  machine: Machine | undefined;
  engine: OwnEngine | undefined;
}

export function faultsOn({ machine, engine }: Ground): Fault[] {
  const kinds = machine && engine ? KINDS : ON_PRODUCT;
  return Object.keys(kinds) as Fault[];
}

/** Whether it lasts for as long as it is told, and is over by itself. */
export function isInterruption(fault: Fault): boolean {
  return INTERRUPTIONS.includes(fault);
}

const INTERRUPTIONS: Fault[] = [
  'worker-stop',
  'engine-stop',
  'engine-disk-full',
  'disk-full',
  'network-cut',
];

/** Seconds that the clock may be off. */
const CLOCK_OFFSETS = [-3600, -600, 0, 600, 3600];

export interface Injection {
  /** How long what is only interrupted stays so. */
  stopMs: number;
  /** Chooses an index below a count. */
  pick: (count: number) => number;
  env: Record<string, string>;
}

/** Injects it and repairs what has to be repaired; returns when that is done. */
export async function inject(ground: Ground, fault: Fault, injection: Injection): Promise<void> {
  const { product } = ground;
  const { stopMs, pick, env } = injection;
  switch (fault) {
    case 'worker-kill':
      await product.kill('worker');
      return up(product, env);
    case 'server-kill':
      await product.kill('server');
      return up(product, env);
    case 'worker-and-server-kill':
      await Promise.all([product.kill('worker'), product.kill('server')]);
      return up(product, env);
    case 'worker-stop':
      return stopFor(product.pidOf('worker'), stopMs);
    case 'worker-drain': {
      const pid = product.pidOf('worker');
      process.kill(pid, 'SIGTERM');
      await until('the worker has ended', async () => !isRunning(pid));
      return up(product, env);
    }
    case 'host-loss': {
      await product.kill('worker');
      const installation = (await product.store()).id;
      await createReaper({ engine: await product.engine(), installation }).removeAll();
      return up(product, env);
    }
    case 'container-remove':
      return toContainer(product, pick, (container) => container.remove({ force: true }));
    case 'container-kill':
      return toContainer(product, pick, (container) => container.kill());
    case 'container-pause':
      return toContainer(product, pick, (container) => container.pause());
    default:
      return injectIntoMachine(ground, fault, injection);
  }
}

// --- internal ---

async function injectIntoMachine(
  { product, machine, engine }: Ground,
  fault: keyof typeof ON_MACHINE,
  { stopMs, pick, env }: Injection,
): Promise<void> {
  if (machine === undefined || engine === undefined) throw new Error(`no machine for ${fault}`);
  switch (fault) {
    case 'engine-kill-live-restore':
    case 'engine-kill':
      await engine.kill();
      return engine.start({ liveRestore: fault === 'engine-kill-live-restore' });
    case 'engine-stop':
      return stopFor(engine.pid(), stopMs);
    case 'engine-disk-full':
      await engine.fillDisk();
      await sleep(stopMs);
      return engine.freeDisk();
    case 'disk-full':
      await machine.fillDisk();
      await sleep(stopMs);
      machine.freeDisk();
      return up(product, env); // the server may have ended
    case 'network-cut':
      await machine.cutNetwork();
      await sleep(stopMs);
      return machine.mendNetwork();
    case 'clock-jump':
      return machine.setClock(CLOCK_OFFSETS[pick(CLOCK_OFFSETS.length)] ?? 0);
  }
}

async function up(product: Product, env: Record<string, string>): Promise<void> {
  const { code, stderr } = await product.run(['up'], env);
  if (code !== 0) throw new Error(`twinpatch up ended with code ${code}: ${stderr}`);
}

async function stopFor(pid: number, stopMs: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await sleep(stopMs);
  process.kill(pid, 'SIGCONT');
}

type Container = ReturnType<Engine['docker']['getContainer']>;

/** Nothing, where no rollout has a container just now, or it has gone by itself meanwhile. */
async function toContainer(
  product: Product,
  pick: (count: number) => number,
  act: (container: Container) => Promise<unknown>,
): Promise<void> {
  const names = await product.containers();
  const name = names[pick(names.length)];
  if (name === undefined) return;
  const { docker } = await product.engine();
  try {
    await act(docker.getContainer(name.slice(1)));
  } catch (error) {
    if (statusOf(error) !== 404 && statusOf(error) !== 409) throw error;
  }
}
