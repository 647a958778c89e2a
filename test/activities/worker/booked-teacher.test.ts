import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Teacher } from '../../../domain/ports.ts';
import type { Store } from '../../../domain/store.ts';
import { openStore } from '../../../store/open.ts';
import { createBookedTeacher } from '../../../worker/booked-teacher.ts';
import { createTeacher } from '../../support/agent-script.ts';
import { toBatch } from '../../support/batch-fixture.ts';
import { toSpendLine } from '../../support/paid-calls.ts';

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twinpatch-booked-'));
  store = await openStore(folder);
  vi.useFakeTimers({ toFake: ['Date', 'performance'] });
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(folder, { recursive: true, force: true });
});

const putCap = (maxCostUsd?: number) =>
  store.batches.put(
    toBatch('b', store.id, { budget: maxCostUsd === undefined ? {} : { maxCostUsd } }),
  );
const ask = (teacher: Teacher) =>
  teacher.complete({ messages: [] }, { scope: 's', step: 1, try: 1 }, new AbortController().signal);
const spentUsd = async () => (await store.spend.total('b')).costUsd;
/** Every call costs $0.01. */
const booked = () => createBookedTeacher(createTeacher([{ content: 'yes' }]), store, 'b');

test('every reply is in the spend ledger before it is used', async () => {
  await putCap();
  expect((await ask(booked())).message.content).toBe('yes');
  expect(await store.spend.total('b')).toMatchObject({
    calls: 1,
    costUsd: 0.01,
    usage: { inputTokens: 100, outputTokens: 10 },
  });
});

test('nothing is asked any more at the cap', async () => {
  await putCap(0.03);
  const teacher = booked();
  for (let call = 1; call <= 3; call += 1) await ask(teacher);
  await expect(ask(teacher)).rejects.toMatchObject({
    name: 'TeacherError',
    kind: 'budget',
    message: 'the batch has cost $0.03, its cap is $0.03',
  });
  expect((await store.spend.total('b')).calls).toBe(3);
});

test.each([
  ['goes on', 0],
  ['is set back by an hour', -3_600_000],
])(
  'what another worker paid counts as soon as it is seen, when the clock %s',
  async (_, jumpMs) => {
    await putCap(1);
    const teacher = booked();
    await ask(teacher);
    await (await openStore(folder)).spend.record('b', toSpendLine(5));
    vi.setSystemTime(Date.now() + jumpMs);
    vi.advanceTimersByTime(3_000);
    await expect(ask(teacher)).rejects.toMatchObject({ kind: 'budget' });
  },
);

test.each([
  ['by a new run', () => putCap(1)],
  ['by tuning it', () => store.tunings.change('b', { maxCostUsd: 1 })],
])('a cap that is raised %s while it runs lets it go on', async (_, raise) => {
  await putCap(0.01);
  const teacher = booked();
  await ask(teacher);
  await expect(ask(teacher)).rejects.toMatchObject({ kind: 'budget' });
  await raise();
  await ask(teacher);
  expect(await spentUsd()).toBe(0.02);
});

test('calls without a price are booked as such, and not held by the cap', async () => {
  await putCap(0.01);
  const teacher = createBookedTeacher(createTeacher([{ costUsd: null }]), store, 'b');
  for (let call = 1; call <= 3; call += 1) await ask(teacher);
  expect(await store.spend.total('b')).toMatchObject({ calls: 3, costUsd: null });
});

test('a call that failed costs nothing', async () => {
  await putCap(1);
  const teacher = createBookedTeacher(createTeacher([new Error('down')]), store, 'b');
  await expect(ask(teacher)).rejects.toThrow('down');
  expect((await store.spend.total('b')).calls).toBe(0);
});
