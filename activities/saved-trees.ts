/** The files of a rollout's sandbox, saved while it runs: where its container is lost, it goes on from them in another one. */

import type { PreparedSandbox, Teacher } from '../domain/ports.ts';
import type { SegmentJournal } from '../domain/store.ts';

export interface SavingLimits {
  /** A tree is saved after so many steps or so much time, whichever comes first. */
  everySteps: number;
  everyMs: number;
  /** A larger tree is not saved. */
  maxBytes: number;
}

/** Saving takes at most this share of a rollout's time, however large its tree and fast its steps. */
const TIME_SHARE = 1 / 100;
/** Other processes of the sandbox need their memory too. */
const MEMORY_SHARE = 1 / 4;

export interface SavedTrees {
  /**
   * The teacher, asked as ever. While it thinks nothing runs in the sandbox: that is when the tree is saved, and also when it
   * can't be asked any longer. What goes wrong with that, the rollout itself meets.
   */
  teacher: Teacher;
  /** Whether the rollout could go on from here without its container, and nothing bought again. */
  isSaved(): boolean;
}

export function saveTrees(
  teacher: Teacher,
  sandbox: PreparedSandbox,
  journal: SegmentJournal,
  {
    unsavedSteps: stepsBefore,
    memoryBytes,
    everySteps,
    everyMs,
    ...limits
  }: SavingLimits & { unsavedSteps: number; memoryBytes: number },
): SavedTrees {
  const maxBytes = Math.min(limits.maxBytes, memoryBytes * MEMORY_SHARE);
  let unsavedSteps = stepsBefore;
  let triedAt = performance.now();
  let tookMs = 0;

  async function save(): Promise<void> {
    const startedAt = performance.now();
    const steps = unsavedSteps;
    try {
      const tree = await sandbox.saveTree(maxBytes);
      if (tree === undefined) return;
      await journal.saveTree(tree);
      unsavedSteps -= steps;
    } catch {
      // Tried again later.
    } finally {
      triedAt = performance.now();
      tookMs = triedAt - startedAt;
    }
  }

  function isDue(): boolean {
    const passedMs = performance.now() - triedAt;
    const isTime = unsavedSteps >= everySteps || passedMs >= everyMs;
    return unsavedSteps > 0 && isTime && passedMs * TIME_SHARE >= tookMs;
  }

  return {
    teacher: {
      async complete(request, call, signal) {
        const saving = isDue() ? save() : undefined;
        try {
          const reply = await teacher.complete(request, call, signal);
          unsavedSteps += 1;
          return reply;
        } catch (error) {
          await saving;
          if (unsavedSteps > 0) await save();
          throw error;
        } finally {
          await saving;
        }
      },
    },
    isSaved: () => unsavedSteps === 0,
  };
}
