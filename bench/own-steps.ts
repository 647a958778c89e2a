/** Rollouts as the product runs them: its loop, its journal on the disk, its sandboxes, its teacher client and the ledger of what was paid. */

import pLimit from 'p-limit';
import { saveTrees } from '../activities/saved-trees.ts';
import { runRollout } from '../agent/loop.ts';
import type { RolloutPlan } from '../agent/plan.ts';
import { TOOLS } from '../agent/tools/profile.ts';
import { toTrajectory } from '../agent/trajectory.ts';
import { type BatchConfig, batchConfigSchema } from '../domain/config.ts';
import { REPOSITORY_PATH, rolloutId } from '../domain/ids.ts';
import type { Journal, JournalEntry, PreparedSandbox, Teacher } from '../domain/ports.ts';
import { promptsOf, render } from '../domain/prompts.ts';
import type { Store } from '../domain/store.ts';
import type { Message } from '../domain/trajectory.ts';
import { createTeacher } from '../teacher/client.ts';
import { toRequestBody } from '../teacher/request.ts';
import { createBookedTeacher } from '../worker/booked-teacher.ts';
import { readEnvironment } from '../worker/environment.ts';
import type { Measured, Workload } from './workload.ts';

const BATCH = 'bench';
export const TASK =
  'Something is off around `restock_3` in `inventory/module_07.py`: amounts that are reserved seem to be counted twice.';

export interface OwnSteps extends Measured {
  /** The requests of one rollout, as they were sent. */
  bodies: Buffer[];
}

/** What comes first is not measured: a worker runs for days, with its code compiled and its connections open. */
export const WARM_UP = { rollouts: 12, steps: 40 };

/** Runs one rollout in each sandbox. Throws what a rollout throws. */
export async function runOwnSteps(
  { teacher, steps, concurrency }: Workload,
  store: Store,
  sandboxes: PreparedSandbox[],
  signal: AbortSignal,
): Promise<OwnSteps> {
  const config = batchConfigSchema.parse({
    name: BATCH,
    teacher: { endpoints: [{ ...teacher, maxConcurrency: Math.max(32, concurrency) }] },
    rollout: { maxSteps: steps, maxToolTime: '24h', maxWallTime: '24h', maxTokens: 1e12 },
  });
  const client = createTeacher(config.teacher, { apiKey: () => Promise.resolve(undefined) });
  const booked = createBookedTeacher(client, store.spend);
  const run = (sandbox: PreparedSandbox, name: string, maxSteps: number) =>
    runOne({
      config,
      plan: toPlan(config, name, maxSteps),
      store,
      teacher: booked,
      sandbox,
      signal,
    });
  try {
    const [first] = sandboxes;
    for (let index = 0; first !== undefined && index < WARM_UP.rollouts; index += 1) {
      await run(first, `warm-up-${index}`, WARM_UP.steps);
    }
    const limit = pLimit(concurrency);
    const cpuBefore = process.cpuUsage();
    const start = performance.now();
    const done = await Promise.all(
      sandboxes.map((sandbox, index) => limit(() => run(sandbox, String(index), steps))),
    );
    const wallMs = performance.now() - start;
    const { user, system } = process.cpuUsage(cpuBefore);
    return {
      wallMs,
      cpuMs: (user + system) / 1000,
      stepMs: done.flatMap(({ stepMs }) => stepMs),
      bodies: toBodies(config, done[0]?.messages ?? []),
    };
  } finally {
    await client.close();
  }
}

// --- internal ---

function toPlan({ rollout, prompts }: BatchConfig, name: string, maxSteps: number): RolloutPlan {
  const texts = promptsOf(prompts);
  return {
    rolloutId: rolloutId(BATCH, name, 1, 1),
    systemPrompt: render(texts.system, {}),
    taskPrompt: render(texts.task, { repository: REPOSITORY_PATH, statement: TASK }),
    review: texts.review,
    callsPerTurn: rollout.callsPerTurn,
    limits: { ...rollout, maxSteps },
  };
}

interface OneRollout {
  config: BatchConfig;
  plan: RolloutPlan;
  store: Store;
  teacher: Teacher;
  sandbox: PreparedSandbox;
  signal: AbortSignal;
}

async function runOne({ config, plan, store, teacher, sandbox, signal }: OneRollout) {
  const lease = await store.leases.take(plan.rolloutId);
  const journal = store.journals.of(lease);
  const starts: number[] = [];
  try {
    const { teacher: saving } = saveTrees(teacher, sandbox, journal, {
      ...readEnvironment({}).saving,
      unsavedSteps: 0,
      memoryBytes: config.environment.memoryBytes,
    });
    await runRollout(plan, { teacher: saving, sandbox, journal: timed(journal, starts) }, signal);
    const end = performance.now();
    const stepMs = starts.map((start, step) => (starts[step + 1] ?? end) - start);
    return { stepMs, messages: toTrajectory(plan, await journal.open()).turns };
  } finally {
    await journal.close();
    await store.leases.release(lease);
  }
}

/** A step begins as the loop notes down that it asks the teacher, and ends where the next one begins. */
function timed(journal: Journal, starts: number[]): Journal {
  return {
    open: () => journal.open(),
    append(entry: JournalEntry) {
      if (entry.kind === 'sent') starts.push(performance.now());
      return journal.append(entry);
    },
  };
}

function toBodies({ teacher }: BatchConfig, messages: Message[]): Buffer[] {
  const [endpoint] = teacher.endpoints;
  if (endpoint === undefined) return [];
  return messages.flatMap(({ role }, index) => {
    if (role !== 'assistant') return [];
    const request = { messages: messages.slice(0, index), tools: TOOLS };
    return [toRequestBody(request, endpoint, teacher, true)];
  });
}
