/** One rollout: lease, sandbox, the agent's loop, the patch, and one durable result. */

import { runRollout } from '../agent/loop.ts';
import { toTrajectory } from '../agent/trajectory.ts';
import type { BatchConfig } from '../domain/config.ts';
import { changedLines } from '../domain/patch.ts';
import {
  type ExtractCaps,
  type ExtractedPatch,
  type PreparedSandbox,
  SandboxLost,
  type SandboxUsage,
  TEACHER_PATIENCE_MS,
  TeacherError,
} from '../domain/ports.ts';
import type { PatchSummary, RolloutResult } from '../domain/sample.ts';
import { imageKey } from '../domain/stage-key.ts';
import { type Lease, LeaseLost, type Store } from '../domain/store.ts';
import { limitsOf, type RolloutDeps } from './deps.ts';
import { held } from './failures.ts';
import { obtainSandbox, startOf, unsavedSteps } from './rollout-sandbox.ts';
import { type RolloutInput, rolloutName, statementOf, toRolloutPlan } from './rollout-plan.ts';
import { type SavedTrees, saveTrees } from './saved-trees.ts';
import { type Beat, readSample, runStage } from './stage.ts';
import { Stalled, stallGuarded } from './stall-guard.ts';

/** Take-overs in a row without progress that park a sample: something in it ends its worker. */
const MAX_FRUITLESS = 3;
const MAX_PATCH_ENTRIES = 10_000;
const MAX_PATCH_DEPTH = 64;
const EXTRACT_TIMEOUT_MS = 5 * 60_000;
/** For a tree that is saved meanwhile, and a host under load. */
const STALL_MARGIN_MS = 5 * 60_000;

export function createRollout({
  store,
  hash,
  teacherFor,
  waitingFor,
  images,
  sandboxes,
  saving,
}: RolloutDeps) {
  const holds = (lease: Lease) => store.leases.holds(lease).catch(() => true);

  /**
   * Returns the rollout's result, from the ledger when it is there. One that was cut goes on in its container, else from its last
   * saved tree in another one, else it starts again; what it had cost and does not count is booked as wasted.
   */
  return function rollout(input: RolloutInput): Promise<RolloutResult> {
    return runStage(
      'starting',
      async ({ signal, report, isTriedAgain }) => {
        const { batch, sample } = await readSample(store, input);
        const plan = toRolloutPlan(batch, input, await statementOf(store, batch, sample, input));
        const name = rolloutName(batch, sample, input, plan, hash);
        const key = { batchId: input.batchId, sampleKey: input.sampleKey, name };
        const finished = await store.ledger.get<RolloutResult>(key);
        if (finished !== undefined) return finished;

        const teacher = await teacherFor(batch);
        await images.obtain(input.imageId, imageKey(batch.config.environment, sample, hash));
        const lease = await store.leases.take(plan.rolloutId);
        const journal = store.journals.of(lease);
        let sandbox: PreparedSandbox | undefined;
        let trees: SavedTrees | undefined;
        let isFruitful = true;
        let isLeft = false;
        try {
          // The owner before may have finished, and settled its lease, since the look above.
          const meanwhile = await store.ledger.get<RolloutResult>(key);
          if (meanwhile !== undefined) {
            await store.leases.settle(plan.rolloutId);
            return meanwhile;
          }
          if (lease.fruitless >= MAX_FRUITLESS) {
            throw held(
              'no-progress',
              `${lease.fruitless} owners in a row were lost before rollout ${plan.rolloutId} got any further`,
            );
          }
          const spec = {
            imageId: input.imageId,
            limits: limitsOf(batch.config.environment),
            epoch: lease.epoch,
            isNewest: () => holds(lease),
            onWaiting: (reason: string) => report({ phase: `waits: ${reason}` }),
            labels: { batch: input.batchId, sample: input.sampleKey, rollout: plan.rolloutId },
          };
          sandbox = await obtainSandbox(sandboxes, journal, spec, signal);
          const { ref, usage } = sandbox;
          trees = saveTrees(teacher, sandbox, journal, {
            ...saving,
            unsavedSteps: unsavedSteps(await journal.open()),
            memoryBytes: spec.limits.memoryBytes,
          });
          const ports = { teacher: trees.teacher, sandbox, journal };
          const run = await stallGuarded(stallMs(batch.config), signal, (until, onProgress) =>
            runRollout(plan, ports, until, (progress) => {
              onProgress();
              report({ ...progress, sandbox: ref.container.slice(0, 12), ...toBeat(usage()) });
            }),
          );
          report({ step: run.steps, phase: 'extracting the patch' });
          const extracted = await sandbox.extractPatch(capsOf(batch.config.rollout));
          const entries = await journal.open();
          const result: RolloutResult = {
            key: name,
            rolloutId: plan.rolloutId,
            status: run.status,
            steps: run.steps,
            ...(await storePatch(store, extracted)),
            trajectory: await store.blobs.putJson(toTrajectory(plan, entries)),
            journal: await journal.close(),
            sandbox: ref,
            model: run.model,
            simulated: run.simulated,
            spent: { usage: run.usage, costUsd: run.costUsd },
            wasted: await store.journals.wasted(lease),
            wallMs: Date.now() - startOf(entries),
          };
          if (!(await store.leases.holds(lease))) {
            throw new LeaseLost(`another owner has taken ${plan.rolloutId} over`);
          }
          const stored = await store.ledger.put(key, result);
          await store.leases.settle(plan.rolloutId);
          return stored;
        } catch (error) {
          const isLost = error instanceof SandboxLost;
          // What ends at the same step again and again would be bought for ever.
          isFruitful = !isLost && !(error instanceof Stalled);
          // Waiting for a teacher may take long: the saved tree waits as well. Otherwise who tries again goes on in the sandbox.
          const isParked = error instanceof TeacherError && trees?.isSaved() === true;
          const isNext = !isLost && !isParked && isTriedAgain(error);
          isLeft = isNext || !(await holds(lease)); // or whoever has taken it over
          throw error;
        } finally {
          // One that can't be removed now is the reaper's.
          if (isLeft) sandbox?.leave();
          else await sandbox?.close().catch(() => undefined);
          // Whoever is next may be on another host.
          await journal.share().catch(() => undefined);
          if (isFruitful) await store.leases.release(lease);
        }
      },
      () => waitingFor(input.batchId, input.sampleKey),
    );
  };
}

// --- internal ---

/** Longer than any step may take: a call of the teacher that fails as late as it can, the waiting, and another one; or one command. */
function stallMs({ teacher, rollout }: BatchConfig): number {
  const callMs = 2 * teacher.deadlines.totalMs + TEACHER_PATIENCE_MS;
  return Math.max(callMs, rollout.commandTimeoutMs) + STALL_MARGIN_MS;
}

function toBeat(usage: SandboxUsage | undefined): Partial<Beat> {
  return usage === undefined
    ? {}
    : { memoryMiB: Math.round(usage.memoryBytes / 1024 ** 2), tasks: usage.tasks };
}

function capsOf({ maxPatchBytes }: BatchConfig['rollout']): ExtractCaps {
  return {
    maxBytes: maxPatchBytes,
    maxEntries: MAX_PATCH_ENTRIES,
    maxDepth: MAX_PATCH_DEPTH,
    timeoutMs: EXTRACT_TIMEOUT_MS,
  };
}

async function storePatch(
  store: Store,
  extracted: ExtractedPatch,
): Promise<{ patch: PatchSummary | null; oversized?: string }> {
  if (extracted.kind === 'empty') return { patch: null };
  if (extracted.kind === 'oversized') return { patch: null, oversized: extracted.reason };
  let countedLines = 0;
  const files = changedLines(extracted.text, () => (countedLines += 1));
  const bytes = Buffer.from(extracted.text);
  const ref = await store.blobs.put(bytes);
  return { patch: { ref, bytes: bytes.length, files: files.length, countedLines } };
}
