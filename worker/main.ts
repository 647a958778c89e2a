/** The worker process: builds every port, hands on what a dead predecessor left, and works until it is told to stop. */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, type RuntimeOptions, Worker } from '@temporalio/worker';
import pino from 'pino';
import { createMainActivities, createRolloutActivities } from '../activities/create-activities.ts';
import { MAIN_QUEUE, ROLLOUT_QUEUE } from '../domain/ids.ts';
import { connectEngine } from '../sandbox/engine.ts';
import { guestVolumeName } from '../sandbox/guest-volume.ts';
import { createImageUses } from '../sandbox/image-uses.ts';
import { createImages } from '../sandbox/image.ts';
import { keepOwned, type Reaper } from '../sandbox/reaper.ts';
import { createPatchJudge } from '../repository/patch-judge.ts';
import { createSnapshotFiles } from '../repository/snapshot-files.ts';
import { createSandboxes } from '../sandbox/sandboxes.ts';
import type { Store } from '../domain/store.ts';
import { sha256 } from '../store/blobs.ts';
import { isRunning, thisProcess, toIdentity } from '../store/owner.ts';
import { openStore } from '../store/open.ts';
import { hostShortage, rolloutSlots } from './admission.ts';
import { handOverOrphans, type RunningActivities, trackAttempts } from './attempts.ts';
import { bundleWorkflows } from './build-bundle.ts';
import { closedSamples } from './closed-samples.ts';
import { connectionOptions } from './connection.ts';
import type { WorkerEnvironment } from './environment.ts';
import { installRuntime } from './metrics.ts';
import { watchServer } from './server-watch.ts';
import { watchSlots } from './slots.ts';
import { createTeachers } from './teachers.ts';

const REAP_EVERY_MS = 30_000;
/** Activities get this long to end by themselves when the worker stops; then they are handed to the next owner. */
const GRACE_MS = 5_000;
const FORCE_MS = 60_000;
const LIGHT_ACTIVITIES = 64;
/** Of a journal: what is asked, the reply, and what came of it. */
const LINES_PER_STEP = 3;

/** Runs a worker until SIGTERM or SIGINT; `ready` is called once it polls. */
export async function runWorker(
  environment: WorkerEnvironment,
  variables: Record<string, string | undefined>,
  ready: () => void,
): Promise<void> {
  const output = pino.destination(2);
  // The log is on the store's disk, as a rule: where that is full its lines wait, and the worker is not lost with them.
  output.on('error', () => undefined);
  const log = pino(output);
  const runtime: RuntimeOptions = {
    logger: new DefaultLogger('WARN', ({ level, message, meta }) =>
      log[level === 'ERROR' ? 'error' : 'warn'](
        { ...meta, error: String(meta?.['error'] ?? '') || undefined },
        message,
      ),
    ),
    // Signals are ours: the runtime would stop without draining.
    shutdownSignals: [],
  };
  const metrics = installRuntime(runtime, environment.metricsPort, (why) => log.warn(why));

  const { saving, cacheFolder } = environment;
  const copying = { everyLines: saving.everySteps * LINES_PER_STEP, everyMs: saving.everyMs };
  const store = await openStore(environment.store, { copying, cacheFolder });
  const engine = await connectEngine({ process: toIdentity(thisProcess()) });
  const owned = { engine, installation: store.id };
  const diskReserve = { bytes: environment.diskReserveBytes };
  const sandboxes = createSandboxes({ ...owned, diskReserve });
  const uses = createImageUses(sandboxes, {
    folder: join(environment.cacheFolder, 'images', engine.id.replaceAll(':', '')),
    maxBytes: environment.imageBytes,
  });
  const teachers = createTeachers(store, variables, environment.allowedKeyVariables, metrics);
  const options = connectionOptions({ address: environment.temporal }, variables);
  const { namespace } = environment;
  const client = new Client({ connection: await Connection.connect(options), namespace });
  const connection = await NativeConnection.connect(options);

  const snapshots = createSnapshotFiles((snapshot) => store.blobs.stream(snapshot));
  const deps = {
    store,
    hash: sha256,
    teacherFor: teachers.teacherFor,
    waitingFor: teachers.waitingFor,
    closedSamples: (batchId: string, keys: string[]) => closedSamples(client, batchId, keys),
    images: createImages(engine, {
      ...owned,
      diskReserve,
      uses,
      shared: environment.shareImages ? store.images : undefined,
    }),
    sandboxes,
    snapshots,
    judgePatch: createPatchJudge(snapshots),
    saving: environment.saving,
  };
  const running: RunningActivities = new Set();
  const slots = await watchSlots(store.tunings, environment.slots);
  const shared = {
    connection,
    namespace,
    identity: toIdentity(thisProcess()),
    interceptors: { activity: [trackAttempts(store.attempts, running)] },
    shutdownGraceTime: GRACE_MS,
    shutdownForceTime: FORCE_MS,
    maxHeartbeatThrottleInterval: '10s' as const,
  };
  const workers = await Promise.all([
    Worker.create({
      ...shared,
      taskQueue: MAIN_QUEUE,
      workflowBundle: { code: await workflowCode() },
      activities: createMainActivities(deps),
      maxConcurrentActivityTaskExecutions: LIGHT_ACTIVITIES,
      maxCachedWorkflows: 500,
      // A task for a dead worker's cache moves on after this; the default of 10 s would delay every restart.
      stickyQueueScheduleToStartTimeout: '1s',
    }),
    Worker.create({
      ...shared,
      taskQueue: ROLLOUT_QUEUE,
      activities: createRolloutActivities(deps),
      ...rolloutSlots({
        slots() {
          metrics.slots(slots.now());
          return slots.now();
        },
        shortage: () => sandboxes.memoryShortage() ?? hostShortage(environment),
        onShortage: (reason) =>
          log.info({ reason }, reason === undefined ? 'rollouts begin again' : 'no rollout begins'),
      }),
    }),
  ]);

  const reapNow = () => void reap(sandboxes, store).catch((error) => log.warn(error));
  reapNow(); // beside the work, which doesn't wait for what others left
  const reaping = setInterval(reapNow, REAP_EVERY_MS);
  const stop = () =>
    workers.forEach((worker) => worker.getState() === 'RUNNING' && worker.shutdown());
  process.on('SIGTERM', stop).on('SIGINT', stop);

  const ended = Promise.all(workers.map((worker) => worker.run()));
  const orphans = await handOverOrphans(client, store.attempts);
  log.info({ store: store.location, slots: slots.now(), orphans }, 'worker started');
  const stopWatching = await watchServer(options, namespace, running);
  ready();
  store.tidy().catch((error) => log.warn(error));
  guestVolumeName(engine, store.id)
    .then((current) => sandboxes.removeVolumes(current))
    .catch((error) => log.warn(error));
  try {
    await ended;
  } finally {
    clearInterval(reaping);
    slots.stop();
    await stopWatching();
    await teachers.close();
    await connection.close();
    await client.connection.close();
    await sandboxes.close();
    await reap(sandboxes, store, { isLast: true });
    await store.close();
  }
}

// --- internal ---

/** `isLast`: this process is about to end, and what it has left waits only where another one of the store works on this host. */
async function reap(
  sandboxes: Reaper,
  { attempts, leases }: Store,
  { isLast } = { isLast: false },
): Promise<void> {
  const self = toIdentity(thisProcess());
  const runs = (process: string) => !(isLast && process === self) && isRunning(process);
  const forNextOwner = !isLast || (await attempts.live()).length > 0;
  const keep = await keepOwned({ attempts, leases, runs, forNextOwner });
  await sandboxes.reap({ keep });
}

/** The bundle of the build; from source, one made now. */
async function workflowCode(): Promise<string> {
  const built = fileURLToPath(new URL('workflows.bundle.js', import.meta.url));
  return existsSync(built) ? readFile(built, 'utf8') : bundleWorkflows();
}
