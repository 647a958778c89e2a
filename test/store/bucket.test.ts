/** What only a store in a bucket has: hosts that see of each other what was copied, and a storage that may not answer. */

import { createServer } from 'node:http';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { JournalEntry } from '../../domain/ports.ts';
import { openStore } from '../../store/open.ts';
import { toEnd } from '../support/batch-fixture.ts';
import { toReply, toSpendLine } from '../support/paid-calls.ts';
import { type S3Server, startS3Server } from '../support/s3-server.ts';
import { openStoreSuite } from '../support/store-suite.ts';

const ROLLOUT = 'b/000001-aaaaaa/rollout-1.1';
const NEVER = { everyLines: 1e9, everyMs: 1e9 };

let server: S3Server;
let location: string;
let home: string;

beforeAll(async () => {
  server = await startS3Server();
});
afterAll(() => server.close());

beforeEach(async () => {
  location = server.freshLocation();
  home = await mkdtemp(join(tmpdir(), 'twinpatch-hosts-'));
  // Processes that a test starts are of host `a`.
  process.env['XDG_CACHE_HOME'] = join(home, 'a');
});
afterEach(() => rm(home, { recursive: true, force: true }));

/** The store as a host sees it that copies when it is told to, and after `copying`. */
function openOn(host: string, copying = NEVER) {
  return openStore(location, { copying, cacheFolder: join(home, host, 'twinpatch') });
}

const continued = (epoch: number, entries: number): JournalEntry => {
  const at = '2026-01-01T00:00:00.000Z';
  return { kind: 'mark', mark: 'continued', epoch, entries, at };
};

test('a rollout goes on, on another host, from what was copied', async () => {
  const [a, b] = [await openOn('a', { everyLines: 5, everyMs: 1e9 }), await openOn('b')];
  const first = a.journals.of(await a.leases.take(ROLLOUT));
  for (let step = 1; step <= 7; step += 1) await first.append(toReply(step));
  const second = b.journals.of(await b.leases.take(ROLLOUT));
  await expect.poll(async () => (await second.before())?.entries.length).toBeGreaterThanOrEqual(5);
  await first.share();
  expect(await second.before()).toEqual({ epoch: 1, entries: await first.open() });
});

test('lines are copied after a while, too', async () => {
  const [a, b] = [await openOn('a', { everyLines: 1e9, everyMs: 50 }), await openOn('b')];
  await a.spend.record('b', toSpendLine(0.5));
  await expect.poll(async () => (await b.spend.total('b')).costUsd).toBe(0.5);
});

test('the calls of a worker are summed once, over all the files it fills', async () => {
  const [a, b] = [await openOn('a'), await openOn('b')];
  await Promise.all(Array.from({ length: 2_010 }, () => a.spend.record('b', toSpendLine(0.5))));
  await a.close();
  expect(await b.spend.total('b')).toMatchObject({ calls: 2_010, costUsd: 1_005 });
});

test('ends are seen by all hosts at once, and a tree with the entries it is the tree of', async () => {
  const [a, b] = [await openOn('a'), await openOn('b')];
  await a.ends.record('b', toEnd('000001-aaaaaa'));
  expect([...(await b.ends.outcomes('b'))]).toMatchObject([{ key: '000001-aaaaaa' }]);

  const first = a.journals.of(await a.leases.take(ROLLOUT));
  await first.append(toReply(1));
  await first.saveTree(Buffer.from('files'));
  await first.append(toReply(2));
  const second = b.journals.of(await b.leases.take(ROLLOUT));
  const entries = (await second.before())?.entries ?? [];
  expect(entries).toMatchObject([toReply(1), { kind: 'mark', mark: 'saved' }]);
  const mark = entries[1] as { tree: string };
  expect((await second.readTree(mark.tree))?.toString()).toBe('files');
});

test('what a process of this host had not copied counts for the next one, and then for other hosts', async () => {
  const { before, after } = await journalOfThreeOwners();
  expect(before.map((entry) => entry.kind)).toEqual(['reply', 'reply', 'reply']);
  expect(after).toEqual([...before, continued(1, 3), toReply(4)]);
});

/** One that died before it copied anything, one on the same host, and one on another. */
async function journalOfThreeOwners() {
  const a = await openOn('a');
  const first = a.journals.of(await a.leases.take(ROLLOUT));
  for (let step = 1; step <= 3; step += 1) await first.append(toReply(step));
  const again = await openOn('a');
  const second = again.journals.of(await again.leases.take(ROLLOUT));
  const before = (await second.before())?.entries ?? [];
  await second.append(continued(1, 3));
  await second.append(toReply(4));
  await second.share();
  const b = await openOn('b');
  const third = b.journals.of(await b.leases.take(ROLLOUT));
  return { before, after: (await third.before())?.entries };
}

const { doAndDie } = openStoreSuite(
  async () => ({ location, open: () => openStore(location), remove: async () => {} }),
  () => {},
);

test('what a dead process of this host had not copied is copied by the next, and forgotten here', async () => {
  await doAndDie('spend', 'b', 4);
  const [a, b] = [await openOn('a'), await openOn('b')];
  expect((await a.spend.total('b')).calls).toBe(4);
  expect((await b.spend.total('b')).calls).toBe(0);
  await a.tidy();
  expect((await b.spend.total('b')).calls).toBe(4);
  expect((await a.spend.total('b')).calls).toBe(4);
  const spooled = await readdir(join(home, 'a'), { recursive: true });
  expect(spooled.filter((name) => name.endsWith('.jsonl'))).toEqual([]);
});

test('a process that ends in order leaves nothing uncopied', async () => {
  const [a, b] = [await openOn('a'), await openOn('b')];
  await a.spend.record('b', toSpendLine(2));
  await a.close();
  expect((await b.spend.total('b')).costUsd).toBe(2);
});

test('while the storage is away steps go on, results wait, and nothing is lost', async () => {
  const [a, b] = [await openOn('a', { everyLines: 1, everyMs: 100 }), await openOn('b')];
  const lease = await a.leases.take(ROLLOUT);
  const journal = a.journals.of(lease);
  await server.stop();
  await journal.append(toReply(1));
  await expect(a.ledger.put({ batchId: 'b', sampleKey: 's', name: 'r' }, 1)).rejects.toMatchObject({
    name: 'StoreUnavailable',
    message: expect.stringContaining(`${location}/batches/b/samples/s/s/r.json: `) as string,
  });
  await server.start();
  const other = b.journals.of(await b.leases.take(ROLLOUT));
  await expect.poll(async () => (await other.before())?.entries).toEqual([toReply(1)]);
});

test.each([
  ['s3://twinpatch-tests', {}, undefined],
  ['s3://no-such-bucket/x', {}, 'the bucket does not exist; create it, or name another one'],
  ['s3://UPPER/x', {}, 'is no place for a store; expected s3://bucket/prefix'],
  ['s3://twinpatch-tests/x', { AWS_SECRET_ACCESS_KEY: 'wrong' }, 'the secret key is wrong'],
  ['s3://twinpatch-tests/x', { AWS_ACCESS_KEY_ID: 'nobody' }, 'No user exists'],
  ['s3://twinpatch-tests/x', { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9' }, "can't be used"],
])('%s with %o', async (place, variables, complaint) => {
  const before = Object.keys(variables).map((name) => [name, process.env[name]]);
  Object.assign(process.env, variables);
  try {
    const opening = openStore(place);
    if (complaint === undefined) expect((await opening).location).toBe(place);
    else {
      await expect(opening).rejects.toMatchObject({
        name: 'StoreUnavailable',
        message: expect.stringContaining(complaint) as string,
      });
    }
  } finally {
    Object.assign(process.env, Object.fromEntries(before));
  }
});

test('a storage that ignores conditions is refused', async () => {
  const careless = createServer((request, response) => {
    response.statusCode = request.method === 'GET' ? 404 : 200;
    request.resume().on('end', () => response.end());
  }).listen(0, '127.0.0.1');
  await once(careless, 'listening');
  const real = process.env['AWS_ENDPOINT_URL_S3'];
  process.env['AWS_ENDPOINT_URL_S3'] =
    `http://127.0.0.1:${(careless.address() as AddressInfo).port}`;
  try {
    await expect(openStore('s3://twinpatch-tests/x')).rejects.toThrow('If-None-Match is ignored');
  } finally {
    process.env['AWS_ENDPOINT_URL_S3'] = real;
    careless.close();
  }
});
