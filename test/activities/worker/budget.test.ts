import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { BatchConfigInput } from '../../../domain/config.ts';
import type { Teacher } from '../../../domain/ports.ts';
import type { Store } from '../../../domain/store.ts';
import { openStore } from '../../../store/open.ts';
import { createBookedTeacher } from '../../../worker/booked-teacher.ts';
import { createBudget } from '../../../worker/budget.ts';
import { createTeacher, type ScriptedReply } from '../../support/agent-script.ts';
import { toBatch } from '../../support/batch-fixture.ts';
import { toSpendLine } from '../../support/paid-calls.ts';

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twinpatch-budget-'));
  store = await openStore(folder);
  vi.useFakeTimers({ toFake: ['Date', 'performance'] });
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(folder, { recursive: true, force: true });
});

const putCaps = (budget: BatchConfigInput['budget']) =>
  store.batches.put(toBatch('b', store.id, { budget }));
const { signal } = new AbortController();
const ask = (teacher: Teacher) =>
  teacher.complete(
    { messages: [] },
    { scope: 'b/000000-aaaaaa/rollout-1.1', step: 1, try: 1 },
    signal,
  );
const spentUsd = async () => (await store.spend.total('b')).costUsd;

/** Every call costs $0.01 and has 110 tokens, and every one is asked for as the worker does it. */
function booked(reply: ScriptedReply = { content: 'yes' }): Teacher {
  const budget = createBudget(store, 'b');
  const teacher = createTeacher([reply]);
  const admitted: Teacher = {
    async complete(request, call, signal) {
      await budget.admit(signal);
      return teacher.complete(request, call, signal);
    },
  };
  return createBookedTeacher(admitted, store.spend);
}

test.each([
  [{ maxCostUsd: 0.03 }, 'the batch has cost $0.03, its cap is $0.03'],
  [{ maxTokens: 320 }, 'the batch has used 330 tokens, its cap is 320'],
])('nothing is asked any more at the cap %j', async (caps, message) => {
  await putCaps(caps);
  const teacher = booked();
  for (let call = 1; call <= 3; call += 1) await ask(teacher);
  await expect(ask(teacher)).rejects.toMatchObject({
    name: 'TeacherError',
    kind: 'budget',
    message,
  });
  expect((await store.spend.total('b')).calls).toBe(3);
});

test('nothing is asked any more after the hours that it may work', async () => {
  vi.setSystemTime('2026-01-01T00:00:00Z');
  await putCaps({ maxHours: 0.1 });
  const teacher = booked();
  await ask(teacher);
  vi.advanceTimersByTime(5 * 60_000);
  await ask(teacher);
  vi.advanceTimersByTime(2 * 60_000);
  await expect(ask(teacher)).rejects.toMatchObject({
    message: 'the batch has worked 0.12 hours, its cap is 0.1',
  });
});

test.each([
  ['goes on', 0],
  ['is set back by an hour', -3_600_000],
])(
  'what another worker paid counts as soon as it is seen, when the clock %s',
  async (_, jumpMs) => {
    await putCaps({ maxCostUsd: 1 });
    const teacher = booked();
    await ask(teacher);
    await (await openStore(folder)).spend.record('b', toSpendLine(5));
    vi.setSystemTime(Date.now() + jumpMs);
    vi.advanceTimersByTime(3_000);
    await expect(ask(teacher)).rejects.toMatchObject({ kind: 'budget' });
  },
);

test.each([
  ['by a new run', () => putCaps({ maxCostUsd: 1 })],
  ['by tuning it', () => store.tunings.change('b', { maxCostUsd: 1 })],
])('a cap that is raised %s while it runs lets it go on', async (_, raise) => {
  await putCaps({ maxCostUsd: 0.01 });
  const teacher = booked();
  await ask(teacher);
  await expect(ask(teacher)).rejects.toMatchObject({ kind: 'budget' });
  await raise();
  await ask(teacher);
  expect(await spentUsd()).toBe(0.02);
});

test('calls without a price are booked as such, and not held by the cap', async () => {
  await putCaps({ maxCostUsd: 0.01 });
  const teacher = booked({ costUsd: null });
  for (let call = 1; call <= 3; call += 1) await ask(teacher);
  expect(await store.spend.total('b')).toMatchObject({ calls: 3, costUsd: 0, unpricedCalls: 3 });
});

test('one unpriced call leaves the cap in force', async () => {
  await putCaps({ maxCostUsd: 0.02 });
  await store.spend.record('b', toSpendLine(null));
  const teacher = booked();
  await ask(teacher);
  await ask(teacher);
  await expect(ask(teacher)).rejects.toMatchObject({ kind: 'budget' });
});

test('three workers pass the cap by less than the calls that they have under way', async () => {
  vi.useRealTimers();
  await putCaps({ maxCostUsd: 2 });
  const [workers, calls] = [3, 4];
  const script = fileURLToPath(new URL('../../support/budget-process.ts', import.meta.url));
  const paid = await Promise.all(
    Array.from({ length: workers }, async () => {
      const args = ['--import', 'tsx', script, folder, 'b', String(calls)];
      const { stdout } = await promisify(execFile)(process.execPath, args);
      return Number(stdout);
    }),
  );
  const { costUsd } = await store.spend.total('b');
  expect(costUsd).toBeCloseTo(paid.reduce((sum, each) => sum + each, 0) / 100);
  expect(costUsd).toBeGreaterThanOrEqual(1.999);
  expect(costUsd).toBeLessThan(2 + (workers * calls) / 100);
});

test('who waits for what another worker has reserved gives up when asked to', async () => {
  await putCaps({ maxCostUsd: 1 });
  const reserved = { upTo: { costUsd: 1, tokens: 0 }, untilMs: Date.now() + 60_000 };
  await mkdir(join(folder, 'batches/b/budget'), { recursive: true });
  await writeFile(join(folder, 'batches/b/budget/1.json'), JSON.stringify({ other: reserved }));
  const stopping = new AbortController();
  const told: (string | null)[] = [];
  const waiting = createBudget(store, 'b').admit(stopping.signal, (reason) => {
    told.push(reason);
    stopping.abort(new Error('stopped'));
  });
  await expect(waiting).rejects.toThrow('stopped');
  expect(told).toEqual([expect.stringContaining('reserved by other workers'), null]);
});
