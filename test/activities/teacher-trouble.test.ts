/** Batches whose endpoint misbehaves, beside the same batch undisturbed: the real stages, client, ledger and journals. */

import { renameSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/activity';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createMainActivities,
  createRolloutActivities,
} from '../../activities/create-activities.ts';
import type { BatchConfigInput } from '../../domain/config.ts';
import type { PreparedSandbox, SandboxSpec } from '../../domain/ports.ts';
import type { RolloutResult, SyntheticPrResult } from '../../domain/sample.ts';
import type { Store } from '../../domain/store.ts';
import type { Trajectory, Turn } from '../../domain/trajectory.ts';
import { sha256 } from '../../store/blobs.ts';
import { openStore } from '../../store/open.ts';
import { createTeacher } from '../../teacher/client.ts';
import type { Clock } from '../../teacher/clock.ts';
import { createBookedTeacher } from '../../worker/booked-teacher.ts';
import { runActivity } from '../support/activity-context.ts';
import { toBatch, toSamples } from '../support/batch-fixture.ts';
import { startMisbehavingTeacher } from '../support/misbehaving-teacher.ts';
import { type Recording, recordSandbox, replaySandbox } from '../support/replayed-sandbox.ts';
import { CLASSES, type FaultClass } from '../support/teacher-faults.ts';

const SAMPLES = 24;
const BATCH = 'b';
const CHARACTER = { seed: 7, policies: { reproduce: 3, partial: 1, 'wrong-file': 1 } };
/** Waiting takes a thousandth of its time here: five minutes are 300 ms. */
const HASTE = 1000;
const HASTY: Clock = {
  now: () => performance.now() * HASTE,
  date: () => performance.timeOrigin + performance.now() * HASTE,
  sleep: (ms, signal) => sleep(ms / HASTE, undefined, { signal }),
  random: Math.random,
};

const FILES = {
  'http/headers.py': Array.from(
    { length: SAMPLES },
    (_, index) => `def parse_${index}(line, separator=":"):
    name, _, value = line.partition(separator)
    if not name:
        raise ValueError(line)
    return name.strip(), value.strip()
`,
  ).join('\n\n'),
  'http/cookies.py': 'def cookie(value):\n    return value\n',
};

const recording: Recording = new Map();
let undisturbed: Awaited<ReturnType<typeof runBatch>>;

beforeAll(async () => {
  undisturbed = await runBatch([], 0);
}, 300_000);
afterAll(() => rm(undisturbed.folder, { recursive: true, force: true }));

describe('a batch of 24 samples', () => {
  test.each([...CLASSES.map((each) => [each, [each]] as const), ['L1 to L12', CLASSES] as const])(
    'loses nothing to %s in a fifth of its calls, and is what it would have been',
    { timeout: 300_000 },
    async (name, classes) => {
      const batch = await runBatch(classes, 0.2);
      const { counts, faults, calls } = batch;
      expect(batch.failed).toEqual([]);
      expect(batch.contents).toEqual(undisturbed.contents);
      // Whatever happened, it was not too little to show anything.
      expect(counts.refused + counts.cut + counts.odd + counts.turn).toBeGreaterThan(60);
      expect(faults.size).toBeGreaterThanOrEqual(name === 'L1 to L12' ? 40 : 1);
      // A turn that was not the scripted teacher's is a turn more; a cut reply is at most one reply more.
      expect(calls.lines).toBe(undisturbed.calls.lines + counts.turn);
      expect(calls.distinct).toBe(calls.lines);
      expect(counts.again).toBeLessThanOrEqual(counts.cut);
      // What an endpoint does not tell costs an unknown sum, and not nothing.
      const tellsAll = !classes.some((each) => each === 'L9' || each === 'L11');
      expect(calls.unpriced > 0).toBe(!tellsAll);
      await expect(keysIn(batch.folder)).resolves.toEqual([]);
      await rm(batch.folder, { recursive: true, force: true });
    },
  );
});

/** Every sample through its stages, each tried again for as long as that is any use. */
async function runBatch(classes: readonly FaultClass[], rate: number) {
  const folder = await mkdtemp(join(tmpdir(), 'twinpatch-trouble-'));
  const keyFolder = await mkdtemp(join(tmpdir(), 'twinpatch-key-'));
  const keyFile = join(keyFolder, 'key');
  let keys = 0;
  const server = await startMisbehavingTeacher({
    character: CHARACTER,
    classes,
    rate,
    rotateKey() {
      const key = `canary-key-${(keys += 1)}`;
      writeFileSync(`${keyFile}.new`, key);
      renameSync(`${keyFile}.new`, keyFile); // whole, whoever reads it meanwhile
      return key;
    },
  });
  const store = await openStore(join(folder, 'store'));
  const config: Partial<BatchConfigInput> = {
    teacher: {
      endpoints: [{ baseUrl: server.baseUrl, model: 'scripted', apiKeyFile: keyFile }],
      firstByteTimeout: '1s',
      idleTimeout: '1s',
      callTimeout: '3s',
      price: { input: 1, output: 10 },
    },
  };
  const batch = toBatch(BATCH, store.id, config);
  const samples = toSamples(SAMPLES);
  await store.batches.put(batch);
  await store.batches.append(BATCH, samples);
  const teacher = createTeacher(batch.config.teacher, {
    clock: HASTY,
    apiKey: () => readFile(keyFile, 'utf8'),
  });
  const booked = createBookedTeacher(teacher, store.spend);

  const running = new Map<string, PreparedSandbox>();
  const deps = {
    store,
    hash: sha256,
    teacherFor: async () => booked,
    waitingFor: () => undefined,
    snapshots: {
      read: async () =>
        new Map(Object.entries(FILES).map(([path, text]) => [path, Buffer.from(text)])),
    },
    judgePatch: () => Promise.reject(new Error('nothing is verified here')),
    saving: { everySteps: 1000, everyMs: 3_600_000, maxBytes: 1_000_000 },
    closedSamples: async () => [],
    images: {
      prepare: async () => ({ imageId: 'sha256:image', warnings: [] }),
      obtain: async () => {},
    },
    sandboxes: {
      async start({ labels: { rollout } }: SandboxSpec) {
        const sandbox =
          rate === 0
            ? await recordSandbox(recording, rollout, FILES)
            : await replaySandbox(recording, rollout);
        running.set(rollout, sandbox);
        return sandbox;
      },
      find: async (rollout: string) => running.get(rollout),
    },
  };
  const stages = { ...createMainActivities(deps), ...createRolloutActivities(deps) };

  async function runSample(sampleKey: string) {
    const of = { batchId: BATCH, sampleKey, generation: 1 };
    const rollout = { ...of, attempt: 1, imageId: 'sha256:image' };
    const first = await persist(() => stages.rollout({ ...rollout, rollout: 1 }));
    const judged = await persist(() =>
      stages.selfCheck({ ...of, attempt: 1, rollout1: first.key }),
    );
    const pr = await persist(() => stages.synthesizePr({ ...of, attempt: 1, rollout1: first.key }));
    const second = await persist(() => stages.rollout({ ...rollout, rollout: 2, pr: pr.key }));
    return {
      answer: judged.answer,
      pr: await textOf(pr),
      rollouts: [await contentOf(first), await contentOf(second)],
    };
  }

  const textOf = async ({ text }: SyntheticPrResult) =>
    text === null ? null : Buffer.from(await store.blobs.get(text)).toString();
  const contentOf = async ({ status, patch, trajectory }: RolloutResult) => ({
    status,
    patch: patch?.ref,
    turns: toContent((await store.blobs.getJson<Trajectory>(trajectory)).turns),
  });

  const ends = await Promise.allSettled(samples.map((sample) => runSample(sample.key)));
  const lines = await linesOf(store);
  const { unpricedCalls } = await store.spend.total(BATCH);
  await teacher.close();
  await server.close();
  await store.close();
  await rm(keyFolder, { recursive: true, force: true });
  return {
    folder,
    counts: server.counts,
    faults: server.faults,
    failed: ends.flatMap((end) => (end.status === 'rejected' ? [String(end.reason)] : [])),
    contents: ends.map((end) => (end.status === 'fulfilled' ? end.value : undefined)),
    calls: { lines: lines.length, distinct: new Set(lines).size, unpriced: unpricedCalls },
  };
}

/** As the server does it: again, after a while, unless that is no use. */
async function persist<T>(stage: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await runActivity(stage, attempt);
    } catch (error) {
      if (!(error instanceof ApplicationFailure) || error.nonRetryable === true) throw error;
      await sleep(Number(error.nextRetryDelay ?? 1000) / HASTE);
    }
  }
}

/** What the rollout is about: without turns that were refused and what they were answered, and without ids. */
function toContent(turns: Turn[]): unknown[] {
  const contents: unknown[] = [];
  let isRefused = false;
  for (const turn of turns) {
    if (turn.role === 'assistant') isRefused = turn.malformed === true;
    if (isRefused) continue;
    const { role, content } = turn;
    if (turn.role !== 'assistant') contents.push({ role, content });
    else {
      const calls = turn.toolCalls?.map(({ name, arguments: text }) => [name, JSON.parse(text)]);
      contents.push({ role, content, reasoning: turn.reasoning, calls });
    }
  }
  return contents;
}

/** The calls of the ledger, by what each was for. */
async function linesOf({ spend }: Store): Promise<string[]> {
  const lines: string[] = [];
  for await (const { call } of spend.lines(BATCH)) lines.push(`${call.scope} ${call.step}`);
  return lines;
}

/** Files in which a key stands. */
async function keysIn(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && (await readFile(path)).includes('canary-key')) found.push(path);
  }
  return found;
}
