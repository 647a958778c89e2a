/** What a sandbox costs: a command and a start beside the engine's own, many at once, floods of output, and the patch. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import { toEngineLabels } from '../domain/ids.ts';
import type { PreparedSandbox, Sandbox } from '../domain/ports.ts';
import { toArchive } from '../sandbox/archive.ts';
import { connectEngine, type Engine } from '../sandbox/engine.ts';
import { createSandboxes } from '../sandbox/sandboxes.ts';
import { INITIAL_SHELL } from '../sandbox/shell.ts';
import { openStore } from '../store/open.ts';
import { measureCommands } from './baselines.ts';
import { LIMITS, prepareBenchImage } from './bench-image.ts';
import { COMMAND_MIX, commandOf } from './command-mix.ts';
import { mean, median } from './workload.ts';

const ROUNDS = 10;
/** Commands before the first that counts: a worker runs for days, with its code compiled. */
const WARM_UP_COMMANDS = 500;
const STARTS = 8;
const MANY = 64;
const FLOODS = {
  '200 MB': 'head -c 200M /dev/zero | tr "\\0" "y"',
  '10 million tiny writes': 'python3 -c "import os\nfor _ in range(10**7): os.write(1, b\'x\\n\')"',
  'one line of 1 GB': 'head -c 1G /dev/zero | tr "\\0" "x"',
};
const TREES = [5_000, 20_000];

interface Bench {
  engine: Engine;
  signal: AbortSignal;
  installation: string;
  imageId: string;
  start(name: string, imageId?: string): Promise<PreparedSandbox>;
}

/** One figure per thing measured. Nothing of it is left behind. Throws EngineUnavailable, ImageError, SandboxLost. */
export async function benchSandbox(
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<object[]> {
  const engine = await connectEngine();
  const folder = await mkdtemp(join(tmpdir(), 'twinpatch-bench-'));
  const { id: installation } = await openStore(folder);
  const sandboxes = createSandboxes({ engine, installation });
  try {
    const imageId = await prepareBenchImage(engine, { installation }, signal);
    const start: Bench['start'] = (name, image = imageId) =>
      sandboxes.start(
        {
          imageId: image,
          limits: LIMITS,
          epoch: 1,
          labels: { batch: 'bench', sample: name, rollout: `bench/${name}` },
        },
        signal,
      );
    const bench: Bench = { engine, signal, installation, imageId, start };
    const figures: object[] = [];
    for (const [what, measure] of Object.entries({ commands, starts, many, floods, patches })) {
      note(`measuring ${what}`);
      figures.push(...(await measure(bench)));
    }
    return figures.map((figure) => ({ bench: 'sandbox', ...figure }));
  } finally {
    await sandboxes.close();
    await sandboxes.removeAll();
    await sandboxes.removeVolumes();
    await sandboxes.removeImages((await sandboxes.listImages()).map(({ id }) => id));
    await rm(folder, { recursive: true, force: true });
  }
}

// --- internal ---

let requests = 0;

const run = (sandbox: Sandbox, command: string) =>
  sandbox.run({
    id: `bench-${requests++}`,
    command,
    shell: INITIAL_SHELL,
    timeoutMs: 600_000,
    maxOutputBytes: 64_000,
  });

/** The realistic mix, in turns with a fresh `bash -c` fed through a pipe into the same container. */
async function commands({ engine, start }: Bench): Promise<object[]> {
  const sandbox = await start('commands');
  const ours: number[] = [];
  const pipe: number[] = [];
  for (let step = 0; step < WARM_UP_COMMANDS; step++) await run(sandbox, 'true');
  for (let round = 0; round < ROUNDS; round++) {
    const times: number[] = [];
    for (let step = 0; step < COMMAND_MIX.length; step++) {
      const began = performance.now();
      await run(sandbox, commandOf(step));
      times.push(performance.now() - began);
    }
    if (round > 0) ours.push(mean(times));
    const workload = { steps: COMMAND_MIX.length, concurrency: 1 };
    const fresh = await measureCommands(engine, [sandbox], workload);
    if (round > 0) pipe.push(fresh);
  }
  await sandbox.close();
  return [
    beside(
      'command',
      { ms: median(ours), peer: 'bash -c through a pipe', peerMs: median(pipe) },
      1.25,
    ),
  ];
}

/** From the wish to the answer of the first command, in turns with the engine's own start of a container of the same image. */
async function starts({ engine, installation, imageId, start }: Bench): Promise<object[]> {
  const ours: number[] = [];
  const engines: number[] = [];
  for (let round = 0; round <= STARTS; round++) {
    const began = performance.now();
    const sandbox = await start(`start-${round}`);
    await run(sandbox, 'true');
    if (round > 0) ours.push(performance.now() - began);
    await sandbox.close();

    const beganPlain = performance.now();
    const plain = await engine.docker.createContainer({
      Image: imageId,
      Entrypoint: ['sleep', 'infinity'],
      Cmd: [],
      Labels: toEngineLabels({ installation, role: 'rollout' }),
      HostConfig: { NetworkMode: 'none', LogConfig: { Type: 'none', Config: {} } },
    });
    await plain.start();
    if (round > 0) engines.push(performance.now() - beganPlain);
    await plain.remove({ force: true });
  }
  return [
    beside(
      'ready',
      { ms: median(ours), peer: "the engine's own start", peerMs: median(engines) },
      1.15,
    ),
  ];
}

/** Sandboxes that are all up at once, each asked once more when the last one is. */
async function many({ start }: Bench): Promise<object[]> {
  const began = performance.now();
  const up = await Promise.all(Array.from({ length: MANY }, (_, index) => start(`many-${index}`)));
  const upS = (performance.now() - began) / 1000;
  const asked = performance.now();
  const answers = await Promise.all(up.map((sandbox) => run(sandbox, 'echo here')));
  const answerMs = performance.now() - asked;
  const answered = answers.filter(({ output }) => output === 'here\n').length;
  await Promise.all(up.map((sandbox) => sandbox.close()));
  return [
    { figure: 'many', sandboxes: MANY, answered, upS: round(upS), allAnswerMs: round(answerMs) },
  ];
}

/** How long this process's event loop is held up while a sandbox prints, beyond what it is when nothing happens. */
async function floods({ start }: Bench): Promise<object[]> {
  const figures: object[] = [];
  const sandbox = await start('floods');
  const idle = await lagWhile(() => sleep(5000));
  for (const [what, command] of Object.entries(FLOODS)) {
    const before = process.memoryUsage.rss();
    const began = performance.now();
    const { lag, value } = await lagWhile(() => run(sandbox, command));
    figures.push({
      figure: 'flood',
      what,
      outputMB: Math.round(value.outputBytes / 1e6),
      seconds: round((performance.now() - began) / 1000),
      lagMsP999: round(lag),
      idleMsP999: round(idle.lag),
      rssGrowthMB: round((process.memoryUsage.rss() - before) / 1e6),
      targetMs: 20,
    });
  }
  await sandbox.close();
  return figures;
}

/** The patch of three changed files in trees of growing size, with the verifier up as it is when samples follow one another. */
async function patches({ engine, installation, signal, start }: Bench): Promise<object[]> {
  const figures: object[] = [];
  for (const files of TREES) {
    const tree = { name: String(files), archive: () => toTree(files) };
    const imageId = await prepareBenchImage(engine, { installation, tree }, signal);
    const sandbox = await start(`patch-${files}`, imageId);
    await run(sandbox, 'echo change >>d1/f1; echo new >d2/new; rm d3/f3');
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const began = performance.now();
      const patch = await sandbox.extractPatch({
        maxBytes: 4 * 1024 ** 2,
        maxEntries: 1000,
        maxDepth: 20,
        timeoutMs: 60_000,
      });
      if (patch.kind !== 'patch' || patch.facts.length !== 3)
        throw new Error(`the patch is ${JSON.stringify(patch)}`);
      if (round > 0) times.push(performance.now() - began);
    }
    figures.push({ figure: 'patch', files, ms: round(median(times)), targetMs: 300 });
    await sandbox.close();
  }
  return figures;
}

function beside(
  figure: string,
  { ms, peer, peerMs }: { ms: number; peer: string; peerMs: number },
  targetRatio: number,
): object {
  return {
    figure,
    ms: round(ms),
    peer,
    peerMs: round(peerMs),
    ratio: round(ms / peerMs),
    targetRatio,
  };
}

async function lagWhile<T>(work: () => Promise<T>): Promise<{ lag: number; value: T }> {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  const value = await work();
  histogram.disable();
  return { lag: histogram.percentile(99.9) / 1e6, value };
}

function toTree(files: number): Readable {
  return toArchive(
    Array.from({ length: files }, (_, index) => ({
      name: `d${index % 100}/f${index}`,
      content: `file ${index}\n`,
    })),
  );
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
