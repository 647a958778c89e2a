/** One rollout: lease, sandbox, the agent's loop, the patch, and one durable result. */

import { runRollout } from '../agent/loop.ts';
import { toTrajectory } from '../agent/trajectory.ts';
import type { BatchConfig } from '../domain/config.ts';
import { changedLines } from '../domain/patch.ts';
import {
  type ExtractCaps,
  type ExtractedPatch,
  type JournalEntry,
  type PreparedSandbox,
  type Sandboxes,
  SandboxLost,
  type SandboxSpec,
} from '../domain/ports.ts';
import type { PatchSummary, RolloutResult } from '../domain/sample.ts';
import { type Lease, LeaseLost, type SegmentJournal, type Store } from '../domain/store.ts';
import { limitsOf, type RolloutDeps } from './deps.ts';
import { held } from './failures.ts';
import { type RolloutInput, rolloutName, statementOf, toRolloutPlan } from './rollout-plan.ts';
import { readSample, runStage } from './stage.ts';

/** Take-overs in a row without progress that park a sample: something in it ends its worker. */
const MAX_FRUITLESS = 3;
const MAX_PATCH_ENTRIES = 10_000;
const MAX_PATCH_DEPTH = 64;
const EXTRACT_TIMEOUT_MS = 5 * 60_000;

export function createRollout({ store, hash, teacherFor, waitingFor, sandboxes }: RolloutDeps) {
  const holds = (lease: Lease) => store.leases.holds(lease).catch(() => true);

  /**
   * Returns the rollout's result, from the ledger when it is there. One that was cut goes on in its container; where that is
   * gone it starts again, and what it had cost is booked as wasted.
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
        const lease = await store.leases.take(plan.rolloutId);
        let sandbox: PreparedSandbox | undefined;
        let isWillful = true;
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
          const journal = store.journals.of(lease);
          const spec = {
            imageId: input.imageId,
            limits: limitsOf(batch.config.environment),
            epoch: lease.epoch,
            onWaiting: (reason: string) => report({ phase: `waits: ${reason}` }),
            labels: { batch: input.batchId, sample: input.sampleKey, rollout: plan.rolloutId },
          };
          sandbox =
            (await takeOver(sandboxes, journal, spec)) ??
            (await startFresh(sandboxes, journal, spec, signal));
          const { ref } = sandbox;
          const run = await runRollout(plan, { teacher, sandbox, journal }, signal, (progress) =>
            report({ ...progress, sandbox: ref.container.slice(0, 12) }),
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
          // What loses its sandbox again and again at the same step would be bought for ever: it counts as fruitless.
          isWillful = !(error instanceof SandboxLost);
          // Who tries again, or has taken it over, goes on in it.
          isLeft = (isWillful && isTriedAgain(error)) || !(await holds(lease));
          throw error;
        } finally {
          // One that can't be removed now is the reaper's.
          if (isLeft) sandbox?.leave();
          else await sandbox?.close().catch(() => undefined);
          if (isWillful) await store.leases.release(lease);
        }
      },
      () => waitingFor(input.batchId),
    );
  };
}

// --- internal ---

/** The container of the owner before, with all that it had done; undefined where either is missing. */
async function takeOver(
  sandboxes: Sandboxes,
  journal: SegmentJournal,
  { labels: { rollout }, epoch, limits }: SandboxSpec,
): Promise<PreparedSandbox | undefined> {
  // The first owner has none before it, and the engine is not asked in vain.
  const sandbox = epoch === 1 ? undefined : await sandboxes.find(rollout, epoch, limits);
  if (sandbox === undefined) return undefined;
  try {
    // Read only now, when nobody else can do anything in the container.
    const before = await journal.before();
    const start = before && startMark(before.entries);
    if (before === undefined || start?.sandbox.container !== sandbox.ref.container) {
      await sandbox.close();
      return undefined;
    }
    const at = new Date().toISOString();
    const { epoch: from, entries } = before;
    await journal.append({
      kind: 'mark',
      mark: 'continued',
      epoch: from,
      entries: entries.length,
      at,
    });
    return sandbox;
  } catch (error) {
    sandbox.leave();
    throw error;
  }
}

async function startFresh(
  sandboxes: Sandboxes,
  journal: SegmentJournal,
  spec: SandboxSpec,
  signal: AbortSignal,
): Promise<PreparedSandbox> {
  const at = new Date().toISOString();
  const sandbox = await sandboxes.start(spec, signal);
  try {
    await journal.append({ kind: 'mark', mark: 'started', sandbox: sandbox.ref, at });
    return sandbox;
  } catch (error) {
    await sandbox.close().catch(() => undefined);
    throw error;
  }
}

function startMark(entries: JournalEntry[]) {
  for (const entry of entries) {
    if (entry.kind === 'mark' && entry.mark === 'started') return entry;
  }
  return undefined;
}

/** When the rollout began, in milliseconds since 1970. */
function startOf(entries: JournalEntry[]): number {
  return Date.parse(startMark(entries)?.at ?? '') || Date.now();
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
