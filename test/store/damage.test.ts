import { appendFile, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Store, StoreCorrupt } from '../../domain/store.ts';
import { openStore } from '../../store/open.ts';
import { toBatch, toEnd, toSamples } from '../support/batch-fixture.ts';
import { toReply, toSpendLine } from '../support/paid-calls.ts';

let folder: string;
let store: Store;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twinpatch-store-'));
  store = await openStore(folder);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Adds text to every file below a folder of the store. */
async function appendBelow(path: string, text: string): Promise<void> {
  const entries = await readdir(join(folder, path), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  expect(files).not.toHaveLength(0);
  for (const { parentPath, name } of files) await appendFile(join(parentPath, name), text);
}

test('a half-written last line of a journal is dropped', async () => {
  const journal = store.journals.of(await store.leases.take('b/s/rollout-1.1'));
  await journal.append(toReply(1));
  await appendFile(join(folder, 'leases', 'b~s~rollout-1.1', '1.jsonl'), '{"kind":"reply","ca');
  expect(await journal.open()).toEqual([toReply(1)]);
  expect(await store.journals.read(await journal.close())).toEqual([toReply(1)]);
});

test('a half-written last line of the spend is dropped, and counted once it is whole', async () => {
  await store.spend.record('b', toSpendLine(1));
  const line = JSON.stringify(toSpendLine(2));
  await appendBelow('batches/b/spend', line.slice(0, 20));
  expect(await store.spend.total('b')).toMatchObject({ calls: 1, costUsd: 1 });
  await appendBelow('batches/b/spend', `${line.slice(20)}\n`);
  expect(await store.spend.total('b')).toMatchObject({ calls: 2, costUsd: 3 });
});

test('a half-written last line of the ends is dropped', async () => {
  await store.ends.record('b', toEnd('000001-aaaaaa'));
  await appendBelow('batches/b/summary', '{"key":"000002-bb');
  expect([...(await store.ends.outcomes('b'))]).toMatchObject([{ key: '000001-aaaaaa' }]);
});

test('a damaged summary is named, and made anew from the results', async () => {
  await store.batches.append('b', toSamples(3));
  const [finished = '', held = ''] = toSamples(3).map(({ key }) => key);
  await store.ends.record('b', toEnd(finished));
  const verdict = { kind: 'held', class: 'budget' } as const;
  await store.ends.record('b', toEnd(held, { verdict }));
  await appendBelow('batches/b/summary', 'no line of ours\n');
  const opened = await openStore(folder);
  await expect(opened.ends.outcomes('b')).rejects.toThrow(
    /no summary at byte \d+; .*twinpatch status BATCH --rebuild$/,
  );
  expect(await opened.ends.rebuild('b')).toBe(1);
  const outcomes = [...(await opened.ends.outcomes('b'))];
  expect(outcomes.map(({ key }) => key)).toEqual([finished, held]);
});

test.each(['/proc/none/store', '/proc/version/store', '/proc/version'])(
  '%s is refused as a store, with the way out',
  async (path) => {
    await expect(openStore(path)).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringMatching(
        `^${path} can't be a store \\(E.+\\); name another folder$`,
      ) as string,
    });
  },
);

test('temporary files of dead writers are swept, and nothing else', async () => {
  const ref = await store.blobs.put(Buffer.from('kept'));
  await store.batches.put(toBatch('b', store.id));
  const before = await readdir(folder, { recursive: true });
  const hourAgo = Date.now() / 1000 - 3601;
  for (const path of ['.tmp-a', 'batches/b/.tmp-batch.json-b', 'blobs/.tmp-c']) {
    await writeFile(join(folder, path), 'half');
    await utimes(join(folder, path), hourAgo, hourAgo);
  }
  await writeFile(join(folder, 'batches', '.tmp-under-way'), 'half');
  await utimes(join(folder, 'store.json'), hourAgo, hourAgo);
  await store.tidy();
  expect((await readdir(folder, { recursive: true })).sort()).toEqual(
    [...before, 'batches/.tmp-under-way'].sort(),
  );
  expect(Buffer.from(await store.blobs.get(ref)).toString()).toBe('kept');
});

test('content that was changed on the disk is refused by name', async () => {
  const ref = await store.blobs.put(Buffer.from('content'));
  await appendBelow('blobs', '!');
  await expect(store.blobs.get(ref)).rejects.toThrow(
    `${ref.slice(7)}: the content does not have the hash of its name`,
  );
});

test.each([
  ['batches/b/batch.json', 'not JSON; restore it from a copy', () => store.batches.get('b')],
  ['store.json', 'not JSON; restore it from a copy', () => openStore(folder)],
])('a damaged %s is named, with what to do', async (path, reason, read) => {
  await store.batches.put(toBatch('b', store.id));
  await writeFile(join(folder, path), '{');
  await expect(read()).rejects.toThrow(StoreCorrupt);
  await expect(read()).rejects.toThrow(`${join(folder, path)}: ${reason}`);
});

test('a damaged result is named, with what to do', async () => {
  const key = { batchId: 'b', sampleKey: '000001-aaaaaa', name: 'verify-1' };
  await store.ledger.put(key, 1);
  await appendBelow('batches/b/samples', '}');
  await expect(store.ledger.get(key)).rejects.toThrow('remove it and resume');
});

test.each([
  ['store.json', () => openStore(folder)],
  ['batches/b/batch.json', () => store.batches.get('b')],
])('a %s of another version is refused', async (path, read) => {
  await store.batches.put(toBatch('b', store.id));
  await writeFile(join(folder, path), '{"id":"0","formatVersion":2}');
  await expect(read()).rejects.toThrow('format 2 was written by another version');
});

test('a temporary file that a kill left behind is not taken for content', async () => {
  await store.batches.put(toBatch('b', store.id));
  await writeFile(join(folder, 'batches', '.tmp-batch.json-1'), '{');
  await writeFile(join(folder, 'attempts.tmp'), '{');
  expect(await store.batches.list()).toEqual(['b']);
});
