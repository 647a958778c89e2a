/** Batches of the scripted teacher under random faults, beside the same batches undisturbed. */

import { setTimeout as sleep } from 'node:timers/promises';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { BatchConfigInput } from '../../domain/config.ts';
import { COMMANDER, type Product, until } from '../support/product.ts';
import { type Fault, faultsOn, inject, isInterruption, KINDS } from './faults.ts';
import { openGrounds } from './grounds.ts';
import { examine, type Findings, paidCalls, rowsOf } from './invariants.ts';

/** What is printed as one line. */
export interface ChaosReport extends Omit<Findings, 'restored'> {
  faults: Partial<Record<Fault, number>>;
  /** From the end of the repair until the teacher was paid again, in seconds. */
  secondsToGoOnP50: number;
  secondsToGoOnP95: number;
  secondsToGoOnMax: number;
  /** Containers, volumes, networks and processes that were left at the end. */
  leaks: number;
  datasetEqual: boolean;
}

export interface ChaosRun {
  report: ChaosReport;
  /** Rollouts that went on from a saved tree. */
  restored: number;
  /** What the faults injected may have bought again at most. */
  repliesExplained: number;
}

const SAMPLES = 24;
const SLOTS = 8;
const SAVE_STEPS = 3;
const ENV = { TWINPATCH_SAVE_STEPS: String(SAVE_STEPS), TWINPATCH_SLOTS: String(SLOTS) };
const PAUSE_MS = [50, 800] as const;
const STOP_MS = 1_000;
/** Longer than the server waits for a heartbeat: the rollouts of who was stopped or cut off are taken over before it goes on. */
const LONG_STOP_MS = 75_000;
const LONG_STOP_EVERY = 12;
const GO_ON_TIMEOUT_MS = 180_000;

/**
 * Injects so many faults, or until it is enough, of these kinds where they can be had; the same seed chooses the same kinds and
 * pauses. Rejects with the signal's reason, all removed.
 */
export async function runChaos(
  { faults, seed, kinds: wanted }: { faults: number; seed: number; kinds: Fault[] },
  note: (line: string) => void,
  { signal, isEnough = () => false }: { signal?: AbortSignal; isEnough?: () => boolean } = {},
): Promise<ChaosRun> {
  const random = xoroshiro128plus(seed);
  const pick = (count: number) => (count > 0 ? uniformInt(random, 0, count - 1) : 0);
  const grounds = await openGrounds(note);
  const { disturbed, undisturbed } = grounds;
  const { product } = disturbed;
  const kinds = faultsOn(disturbed).filter((kind) => wanted.includes(kind));
  const turns = inTurns(kinds, pick);
  const injected: Fault[] = [];
  const goneOnMs: number[] = [];
  const found: Findings = {
    lost: 0,
    doubled: 0,
    repliesRebought: 0,
    commandsRerun: 0,
    restored: 0,
  };
  let interruptions = 0;
  let datasetEqual = true;
  const isGoingOn = () => injected.length < faults && !isEnough();

  /** How long what is only interrupted stays so. */
  function stopMsOf(fault: Fault): number {
    if (!isInterruption(fault)) return 0;
    interruptions += 1;
    return interruptions % LONG_STOP_EVERY === 0 ? LONG_STOP_MS : STOP_MS;
  }

  async function disturb(batch: string): Promise<void> {
    const store = await product.store();
    const isOver = async () => [...(await store.ends.outcomes(batch))].length >= SAMPLES;
    while (isGoingOn() && !(await isOver())) {
      await sleep(uniformInt(random, ...PAUSE_MS));
      signal?.throwIfAborted();
      const fault = turns.next().value;
      injected.push(fault);
      await inject(disturbed, fault, { stopMs: stopMsOf(fault), pick, env: ENV });
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
  }

  async function runRound(round: number): Promise<void> {
    const batch = `chaos-${round}`;
    const run = async (on: Product, ...args: string[]) => {
      const { code, stderr } = await on.run(args, ENV);
      if (code !== 0) throw new Error(`twinpatch ${args[0]} ended with code ${code}: ${stderr}`);
    };
    product.configure(configOf(batch, seed + round, '100ms'));
    await run(product, 'run', '--port', String(product.port), '--detach');
    await disturb(batch);
    await run(product, 'resume', batch, '--json');
    const store = await product.store();
    const more = await examine(store, batch, SAMPLES);
    undisturbed.configure(configOf(batch, seed + round, '0ms'));
    await run(undisturbed, 'run', '--port', String(undisturbed.port), '--json');
    const bare = await undisturbed.store();
    more.repliesRebought += (await paidCalls(store, batch)) - (await paidCalls(bare, batch));
    for (const key of Object.keys(found) as (keyof Findings)[]) found[key] += more[key];
    const isEqual = (await rowsOf(product, batch)) === (await rowsOf(undisturbed, batch));
    datasetEqual &&= isEqual;
    note(`${batch}: ${JSON.stringify(more)}, rows ${isEqual ? 'equal' : 'NOT equal'}`);
  }

  async function runAll(): Promise<ChaosRun> {
    signal?.throwIfAborted();
    for (let round = 1; isGoingOn(); round += 1) await runRound(round);
    await product.run(['down']);
    const leaks = (await product.leftovers()).length;
    const sorted = goneOnMs.toSorted((a, b) => a - b);
    const quantile = (share: number) =>
      (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0) / 1000;
    const { restored, ...counts } = found;
    return {
      report: {
        faults: Object.fromEntries(
          kinds.map((kind) => [kind, injected.filter((fault) => fault === kind).length]),
        ),
        ...counts,
        secondsToGoOnP50: quantile(0.5),
        secondsToGoOnP95: quantile(0.95),
        secondsToGoOnMax: quantile(1),
        leaks,
        datasetEqual,
      },
      restored,
      repliesExplained: injected.reduce((sum, fault) => sum + mostReplies(fault), 0),
    };
  }

  const aborted = new Promise<never>((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  try {
    // What is under way when it is aborted ends with what it works on.
    return await Promise.race([runAll(), aborted]);
  } finally {
    await grounds.close();
  }
}

/** Whether nothing was lost, doubled, rerun or left, every row is there, and no more was bought again than the faults explain. */
export function isWhole({ report, repliesExplained }: ChaosRun): boolean {
  return (
    report.lost + report.doubled + report.commandsRerun + report.leaks === 0 &&
    report.datasetEqual &&
    report.repliesRebought <= repliesExplained
  );
}

// --- internal ---

/** Every kind as often as it comes in a turn, in random order, turn after turn: a short run has them all. */
function* inTurns(kinds: Fault[], pick: (count: number) => number): Generator<Fault, never> {
  for (;;) {
    const left = kinds.flatMap((kind) => Array.from({ length: KINDS[kind].times }, () => kind));
    while (left.length > 0) yield* left.splice(pick(left.length), 1);
  }
}

/** How long the teacher thinks is in no row. */
function configOf(name: string, seed: number, latency: string): BatchConfigInput {
  return {
    name,
    repository: { source: COMMANDER },
    environment: { memory: '256MiB', maxProcesses: 128 },
    targets: { samples: SAMPLES, seed },
    teacher: { scripted: { latency } },
    rollout: { maxSteps: 14 },
  };
}

function mostReplies(fault: Fault): number {
  const { rollouts, steps } = KINDS[fault];
  const each = { none: 0, 'in-flight': 1, unsaved: SAVE_STEPS + 1 }[steps];
  return each * (rollouts === 'all' ? SLOTS : 1);
}
