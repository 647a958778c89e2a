/** What a tool step costs beyond its command and its teacher, and how many a machine does per second, beside peers in the same run. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PreparedSandbox } from '../domain/ports.ts';
import { connectEngine } from '../sandbox/engine.ts';
import { createSandboxes, type DockerSandboxes } from '../sandbox/sandboxes.ts';
import { openStore } from '../store/open.ts';
import { measureCommands, measureTeacher } from './baselines.ts';
import { LIMITS, prepareBenchImage } from './bench-image.ts';
import { runOwnSteps } from './own-steps.ts';
import { type Peer, PEERS, runMiniSweAgent } from './peers/mini-swe-agent.ts';
import { startTeacherProcess, type TeacherProcess } from './teacher-process.ts';
import { type Measured, mean, median, type Workload } from './workload.ts';

export interface StepsOptions {
  rollouts: number;
  steps: number;
  concurrency: number;
  /** Base URL of an OpenAI-compatible endpoint; the bench's own when left out. */
  teacher?: string | undefined;
  model: string;
  image?: string | undefined;
  peers: boolean;
}

/** One figure per harness. Nothing of it is left behind, however it ends. Throws EngineUnavailable, ImageError and what a rollout throws. */
export async function benchSteps(
  { teacher: given, model, image, peers, ...size }: StepsOptions,
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<object[]> {
  const engine = await connectEngine();
  const folder = await mkdtemp(join(tmpdir(), 'twinpatch-bench-'));
  const store = await openStore(folder);
  const installation = store.id;
  const sandboxes = createSandboxes({ engine, installation });
  const ownTeacher = given === undefined ? await startTeacherProcess() : undefined;
  try {
    note('preparing the image');
    const options = { installation, image };
    const workload: Workload = {
      ...size,
      teacher: { baseUrl: given ?? ownTeacher?.baseUrl ?? '', model },
      imageId: await prepareBenchImage(engine, options, signal),
    };
    note(`starting ${size.rollouts} containers`);
    const started = await startAll(sandboxes, workload, signal);
    note(`running ${size.rollouts} rollouts of ${size.steps} steps, ${size.concurrency} at once`);
    const own = await runOwnSteps(workload, store, started, signal);
    const teacherMsMean = await teacherTime(ownTeacher, workload, own.bodies);
    note('measuring the commands by themselves');
    const commandMsMean = await measureCommands(engine, started, workload);
    await sandboxes.removeAll();
    const figures = [toFigure('twinpatch', workload, own, { commandMsMean, teacherMsMean })];
    for (const peer of peers ? PEERS : []) {
      note(`running ${peer} on the same`);
      const measured = await runPeer(peer, workload, installation, signal, note);
      const needed = {
        commandMsMean,
        teacherMsMean: await teacherTime(ownTeacher, workload, own.bodies),
      };
      figures.push(
        'error' in measured
          ? { bench: 'steps', harness: peer, ...measured }
          : toFigure(peer, workload, measured, needed),
      );
      await sandboxes.removeAll();
    }
    return figures;
  } finally {
    // What an interrupted peer or start had asked the engine for may appear a moment later.
    while ((await sandboxes.removeAll()).length > 0);
    await sandboxes.removeImages((await sandboxes.listImages()).map(({ id }) => id));
    await ownTeacher?.close();
    await rm(folder, { recursive: true, force: true });
  }
}

// --- internal ---

/** What a step needs of the world, in milliseconds. */
interface Needed {
  commandMsMean: number;
  teacherMsMean: number;
}

function startAll(
  sandboxes: DockerSandboxes,
  { imageId, rollouts }: Workload,
  signal: AbortSignal,
): Promise<PreparedSandbox[]> {
  return Promise.all(
    Array.from({ length: rollouts }, (_, index) =>
      sandboxes.start(
        {
          imageId,
          limits: LIMITS,
          epoch: 1,
          labels: { batch: 'bench', sample: String(index), rollout: `bench/${index}` },
        },
        signal,
      ),
    ),
  );
}

/** Our own teacher says how long it worked for each of the last harness's requests; of another one the wire has to tell. */
async function teacherTime(
  ownTeacher: TeacherProcess | undefined,
  workload: Workload,
  bodies: Buffer[],
): Promise<number> {
  return ownTeacher === undefined ? measureTeacher(workload, bodies) : ownTeacher.cpuMsMean();
}

async function runPeer(
  peer: Peer,
  workload: Workload,
  installation: string,
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<Measured | { error: string }> {
  try {
    const container = { installation, limits: LIMITS };
    return await runMiniSweAgent(peer, workload, container, signal, note);
  } catch (error) {
    signal.throwIfAborted();
    const message = error instanceof Error ? error.message : String(error);
    return { error: message.slice(0, 2000) };
  }
}

function toFigure(
  harness: string,
  { rollouts, steps, concurrency }: Workload,
  { wallMs, cpuMs, stepMs }: Measured,
  { commandMsMean, teacherMsMean }: Needed,
): object {
  const stepMsMean = mean(stepMs);
  const figure = {
    wallS: wallMs / 1000,
    stepsPerS: stepMs.length / (wallMs / 1000),
    stepMsP50: median(stepMs),
    stepMsMean,
    commandMsMean,
    teacherMsMean,
    overheadMsMean: stepMsMean - teacherMsMean - commandMsMean,
    cpuMsPerStep: cpuMs / Math.max(1, stepMs.length),
  };
  const rounded = Object.entries(figure).map(([name, value]) => [
    name,
    Math.round(value * 100) / 100,
  ]);
  return {
    bench: 'steps',
    harness,
    rollouts,
    steps,
    concurrency,
    ...(Object.fromEntries(rounded) as typeof figure),
  };
}
