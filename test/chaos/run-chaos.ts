/** Batches of the scripted teacher under random faults, beside the same batches undisturbed. */

import { setTimeout as sleep } from 'node:timers/promises';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { BatchConfigInput } from '../../domain/config.ts';
import { COMMANDER, createProduct, type Product, until } from '../support/product.ts';
import { COSTS, type Fault, FAULTS, inject } from './faults.ts';
import { examine, type Findings, paidCalls, rowsOf } from './invariants.ts';

export interface ChaosReport extends Findings {
  faults: Partial<Record<Fault, number>>;
  /** What the faults injected may cost at most. */
  repliesExplained: number;
  /** From the end of the repair until the teacher was paid again, in seconds. */
  secondsToGoOnP50: number;
  secondsToGoOnP95: number;
  secondsToGoOnMax: number;
  /** Containers, volumes, networks and processes that were left at the end. */
  leaks: number;
  datasetEqual: boolean;
}

const SAMPLES = 24;
const SLOTS = 8;
const SAVE_STEPS = 3;
const PAUSE_MS = [50, 800] as const;
const STOP_MS = 1_000;
/** Longer than the server waits for a heartbeat: the stopped worker's rollouts are taken over before it goes on. */
const LONG_STOP_MS = 75_000;
const LONG_STOP_EVERY = 50;
const GO_ON_TIMEOUT_MS = 180_000;

/** Injects so many faults; the same seed chooses the same kinds and pauses. */
export async function runChaos(
  { faults, seed }: { faults: number; seed: number },
  note: (line: string) => void,
): Promise<ChaosReport> {
  const random = xoroshiro128plus(seed);
  const pick = (count: number) => (count > 0 ? uniformInt(random, 0, count - 1) : 0);
  const env = { TWINPATCH_SAVE_STEPS: String(SAVE_STEPS), TWINPATCH_SLOTS: String(SLOTS) };
  const injected: Fault[] = [];
  const goneOnMs: number[] = [];
  const found: Findings = {
    lost: 0,
    doubled: 0,
    repliesRebought: 0,
    commandsRerun: 0,
    restored: 0,
  };
  let datasetEqual = true;
  const [disturbed, undisturbed] = [await createProduct(), await createProduct()];
  try {
    for (let round = 1; injected.length < faults; round += 1) {
      const batch = `chaos-${round}`;
      disturbed.configure(configOf(batch, seed + round));
      await expectEnd(disturbed, ['run', '--port', String(disturbed.port), '--detach'], env);
      const store = await disturbed.store();
      const isOver = async () => [...(await store.ends.outcomes(batch))].length >= SAMPLES;
      while (injected.length < faults && !(await isOver())) {
        await sleep(uniformInt(random, ...PAUSE_MS));
        const fault = FAULTS[pick(FAULTS.length)] ?? 'worker-kill';
        injected.push(fault);
        const stopMs = injected.length % LONG_STOP_EVERY === 0 ? LONG_STOP_MS : STOP_MS;
        await inject(disturbed, fault, { stopMs, pick, env });
        const repairedAt = Date.now();
        const before = await paidCalls(store, batch);
        await until(
          `${batch} goes on after ${fault}`,
          async () => (await paidCalls(store, batch)) > before || (await isOver()),
          GO_ON_TIMEOUT_MS,
        );
        goneOnMs.push(Date.now() - repairedAt);
        note(`${injected.length} ${batch} ${fault}: went on after ${goneOnMs.at(-1)} ms`);
      }
      await expectEnd(disturbed, ['resume', batch, '--json'], env);
      const more = await examine(store, batch, SAMPLES);
      undisturbed.configure(configOf(batch, seed + round));
      await expectEnd(undisturbed, ['run', '--port', String(undisturbed.port), '--json'], env);
      const [bare, own] = [await undisturbed.store(), store];
      more.repliesRebought += (await paidCalls(own, batch)) - (await paidCalls(bare, batch));
      for (const key of Object.keys(found) as (keyof Findings)[]) found[key] += more[key];
      const isEqual = (await rowsOf(disturbed, batch)) === (await rowsOf(undisturbed, batch));
      datasetEqual &&= isEqual;
      note(`${batch}: ${JSON.stringify(more)}, rows ${isEqual ? 'equal' : 'NOT equal'}`);
    }
    await disturbed.run(['down']);
    const leaks = (await disturbed.leftovers()).length;
    const sorted = goneOnMs.toSorted((a, b) => a - b);
    const quantile = (share: number) =>
      (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0) / 1000;
    return {
      faults: Object.fromEntries(
        FAULTS.map((kind) => [kind, injected.filter((fault) => fault === kind).length]),
      ),
      ...found,
      repliesExplained: injected.reduce((sum, fault) => sum + mostReplies(fault), 0),
      secondsToGoOnP50: quantile(0.5),
      secondsToGoOnP95: quantile(0.95),
      secondsToGoOnMax: quantile(1),
      leaks,
      datasetEqual,
    };
  } finally {
    await Promise.all([disturbed.close(), undisturbed.close()]);
  }
}

// --- internal ---

function configOf(name: string, seed: number): BatchConfigInput {
  return {
    name,
    repository: { source: COMMANDER },
    environment: { memory: '256MiB', maxProcesses: 128 },
    targets: { samples: SAMPLES, seed },
    teacher: { scripted: { latency: '100ms' } },
    rollout: { maxSteps: 14 },
  };
}

function mostReplies(fault: Fault): number {
  const { rollouts, steps } = COSTS[fault];
  const each = { none: 0, 'in-flight': 1, unsaved: SAVE_STEPS + 1 }[steps];
  return each * (rollouts === 'all' ? SLOTS : 1);
}

async function expectEnd(product: Product, args: string[], env: Record<string, string>) {
  const { code, stderr } = await product.run(args, env);
  if (code !== 0) throw new Error(`twinpatch ${args[0]} ended with code ${code}: ${stderr}`);
}
