import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { SpendLine } from '../../../domain/spend.ts';
import type { Store } from '../../../domain/store.ts';
import { openStore } from '../../../store/open.ts';
import { createBookedTeacher } from '../../../worker/booked-teacher.ts';
import { createTeacher } from '../../support/agent-script.ts';

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twinpatch-booked-'));
  store = await openStore(folder);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const call = { scope: 'b/000003-abcdef/self-check.2-0f3a.g2', step: 3, try: 1 };
const { signal } = new AbortController();

async function linesOf(batchId: string): Promise<SpendLine[]> {
  const lines: SpendLine[] = [];
  for await (const line of store.spend.lines(batchId)) lines.push(line);
  return lines;
}

test('every reply is in the spend ledger before it is used, with what it was for and what it took', async () => {
  const teacher = createBookedTeacher(createTeacher([{ content: 'yes' }]), store.spend);
  expect((await teacher.complete({ messages: [] }, call, signal)).message.content).toBe('yes');
  expect(await linesOf('b')).toEqual([
    {
      batch: 'b',
      sample: '000003-abcdef',
      stage: 'self-check',
      attempt: 2,
      generation: 2,
      call,
      endpoint: 'none',
      model: 'scripted',
      usage: { inputTokens: 100, cachedInputTokens: 0, outputTokens: 10, reasoningTokens: 0 },
      price: null,
      costUsd: 0.01,
      durationMs: 5,
      at: expect.any(String),
    },
  ]);
});

test('a call that failed costs nothing', async () => {
  const teacher = createBookedTeacher(createTeacher([new Error('down')]), store.spend);
  await expect(teacher.complete({ messages: [] }, call, signal)).rejects.toThrow('down');
  expect(await linesOf('b')).toEqual([]);
});

test('a call that no stage makes is not asked', async () => {
  const asked = createTeacher([{ content: 'yes' }]);
  const teacher = createBookedTeacher(asked, store.spend);
  await expect(teacher.complete({ messages: [] }, { ...call, scope: 's' }, signal)).rejects.toThrow(
    'no stage of a sample makes a call s',
  );
  expect(asked.calls).toEqual([]);
});
