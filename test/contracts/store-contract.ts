/** What every store promises, whatever it is kept in. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { JournalEntry } from '../../domain/ports.ts';
import { renderVerdict, type Verdict } from '../../domain/outcome.ts';
import { type Store, StoreCorrupt } from '../../domain/store.ts';
import { toBatch, toEnd, toSamples } from '../support/batch-fixture.ts';
import { toReply, toSpendLine } from '../support/paid-calls.ts';

export interface StoreUnderTest {
  /** What another process opens the same store by. */
  location: string;
  /** Another client of the same store. */
  open(): Promise<Store>;
  remove(): Promise<void>;
}

const SCRIPT = fileURLToPath(new URL('../support/store-process.ts', import.meta.url));

export function describeStore(name: string, create: () => Promise<StoreUnderTest>): void {
  describe(`store: ${name}`, () => {
    let at: StoreUnderTest;
    let store: Store;
    const children: ChildProcess[] = [];

    beforeEach(async () => {
      at = await create();
      store = await at.open();
    });
    afterEach(async () => {
      await Promise.all(children.splice(0).map(kill));
      await at.remove();
    });

    /** Starts another process of the store; returns the lines it prints, parsed. */
    function start(action: string, ...rest: (string | number)[]) {
      const child = spawn(
        process.execPath,
        ['--import', 'tsx', SCRIPT, at.location, action, ...rest.map(String)],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      children.push(child);
      const lines = createInterface({ input: child.stdout });
      const first = once(lines, 'line').then(([line]) => JSON.parse(String(line)) as unknown);
      return { lines, first, kill: () => kill(child) };
    }

    /** Runs an action in a process that dies by kill -9 right after it. */
    async function doAndDie(action: string, ...rest: (string | number)[]) {
      const process = start(action, ...rest);
      const result = await process.first;
      await process.kill();
      return result;
    }

    const key = { batchId: 'b', sampleKey: '000001-aaaaaa', name: 'verify-0f' };

    describe('results', () => {
      test('keep the first value, whoever else writes the same key at the same time', async () => {
        const stores = await Promise.all(Array.from({ length: 4 }, () => at.open()));
        const got = await Promise.all(
          Array.from({ length: 20 }, (_, racer) => stores[racer % 4]!.ledger.put(key, racer)),
        );
        expect(new Set(got).size).toBe(1);
        expect(await store.ledger.get(key)).toBe(got[0]);
        expect(await store.ledger.put(key, 'later')).toBe(got[0]);
      });

      test('are one value for several processes that race for a key', async () => {
        const racers = ['a', 'b'].map((value) => start('put', key.name, value).first);
        const got = await Promise.all(racers);
        expect(new Set(got).size).toBe(1);
        expect(await store.ledger.get(key)).toBe(got[0]);
      });

      test('are listed by name, per sample', async () => {
        await store.ledger.put(key, 1);
        await store.ledger.put({ ...key, name: 'checkout-1' }, 1);
        expect(await store.ledger.names('b', key.sampleKey)).toEqual(['checkout-1', 'verify-0f']);
        expect(await store.ledger.names('b', '000002-bbbbbb')).toEqual([]);
        expect(await store.ledger.get({ ...key, sampleKey: '000002-bbbbbb' })).toBeUndefined();
      });

      test('give a claimed patch to one sample only, over processes too', async () => {
        const hash = 'f'.repeat(64);
        const samples = ['000001-aaaaaa', '000002-bbbbbb'];
        const others = samples.slice(1).map((sample) => start('claim', hash, sample).first);
        const owners = await Promise.all([...others, store.ledger.claim('b', hash, samples[0]!)]);
        expect(new Set(owners).size).toBe(1);
        expect(await store.ledger.claim('b', hash, 'late')).toBe(owners[0]);
        expect(await store.ledger.claim('other', hash, 'late')).toBe('late');
      });
    });

    describe('blobs', () => {
      const bytes = Buffer.from('a patch\n');

      test('come back by their hash, however they were put', async () => {
        const ref = await store.blobs.put(bytes);
        const streamed = await store.blobs.putStream(inPieces('a pat', 'ch\n'));
        expect(streamed).toBe(ref);
        expect(Buffer.from(await store.blobs.get(ref))).toEqual(bytes);
        expect(Buffer.concat(await collect(await store.blobs.stream(ref)))).toEqual(bytes);
        expect(await store.blobs.has(ref)).toBe(true);
      });

      test('of equal JSON values are one', async () => {
        const ref = await store.blobs.putJson({ a: 1, b: [{ d: 2, c: 3 }] });
        expect(await store.blobs.putJson({ b: [{ c: 3, d: 2 }], a: 1 })).toBe(ref);
        expect(await store.blobs.getJson(ref)).toEqual({ a: 1, b: [{ c: 3, d: 2 }] });
      });

      test('that are not there, or are no reference, are named', async () => {
        const missing = `sha256:${'1'.repeat(64)}` as const;
        expect(await store.blobs.has(missing)).toBe(false);
        await expect(store.blobs.get(missing)).rejects.toThrow(StoreCorrupt);
        await expect(store.blobs.get('sha256:../../store.json')).rejects.toThrow('not a reference');
      });

      test('whose stream breaks off are not there', async () => {
        const broken = (async function* () {
          yield Buffer.from('half');
          throw new Error('cut');
        })();
        await expect(store.blobs.putStream(broken)).rejects.toThrow('cut');
        const half = await (await create()).open();
        expect(await store.blobs.has(await half.blobs.put(Buffer.from('half')))).toBe(false);
      });
    });

    describe('batches', () => {
      test('are read as they were written, and replaced whole', async () => {
        const batch = toBatch('b', store.id);
        await store.batches.put(batch);
        await store.batches.put({ ...batch, repository: 'moved' });
        expect(await store.batches.get('b')).toEqual({ ...batch, repository: 'moved' });
        expect(await store.batches.get('c')).toBeUndefined();
        expect(await store.batches.list()).toEqual(['b']);
      });

      test('are made once: whoever comes second gets what the first one made', async () => {
        const stores = await Promise.all(Array.from({ length: 8 }, () => at.open()));
        const begun = await Promise.all(
          stores.map(({ batches }, index) =>
            batches.begin({ ...toBatch('b', store.id), repository: `of ${index}` }),
          ),
        );
        const made = await store.batches.get('b');
        expect(begun).toEqual(begun.map(() => made));
      });

      test('grow over the borders of pages, and keep what they had', async () => {
        const samples = toSamples(2300);
        for (const [from, to] of [
          [0, 700],
          [700, 1000],
          [1000, 1001],
          [1001, 2300],
        ] as const) {
          await store.batches.append('b', samples.slice(from, to));
          expect(await store.batches.planned('b')).toBe(to);
        }
        expect(await store.batches.samples('b', 0, 5000)).toEqual(samples);
        expect(await store.batches.samples('b', 990, 20)).toEqual(samples.slice(990, 1010));
        expect(await store.batches.samples('b', 2290, 200)).toEqual(samples.slice(2290));
        expect(await store.batches.samples('b', 2300, 200)).toEqual([]);
      });

      test('take no sample out of its place', async () => {
        await store.batches.append('b', toSamples(3));
        await expect(store.batches.append('b', toSamples(2, 7))).rejects.toThrow('does not follow');
        await store.batches.append('b', toSamples(5));
        expect(await store.batches.samples('b', 0, 10)).toEqual(toSamples(5));
      });
    });

    describe('leases', () => {
      const id = 'b/000001-aaaaaa/rollout-1.1';

      test('give each epoch to one owner', async () => {
        const stores = await Promise.all(Array.from({ length: 4 }, () => at.open()));
        const leases = await Promise.all(
          Array.from({ length: 12 }, (_, racer) => stores[racer % 4]!.leases.take(id)),
        );
        const epochs = leases.map(({ epoch }) => epoch).sort((a, b) => a - b);
        expect(epochs).toEqual(Array.from({ length: 12 }, (_, index) => index + 1));
        const holders = await Promise.all(leases.map((lease) => store.leases.holds(lease)));
        expect(holders.filter(Boolean)).toHaveLength(1);
      });

      /** An owner that got so many replies further and is heard of no more. */
      async function owned(replies: number) {
        const lease = await store.leases.take(id);
        const journal = store.journals.of(lease);
        for (let step = 1; step <= replies; step += 1) await journal.append(toReply(step));
        return lease;
      }

      test('are lost to the next taker, whether that one is alive or not', async () => {
        const mine = await owned(1);
        expect(await store.leases.holds(mine)).toBe(true);
        expect(await doAndDie('take', id, 0)).toMatchObject({ epoch: 2, fruitless: 0 });
        expect(await store.leases.holds(mine)).toBe(false);
        // Given back too late: it is not the last owner's will.
        await store.leases.release(mine);
        expect(await store.leases.take(id)).toMatchObject({ epoch: 3, fruitless: 1 });
      });

      test.each([
        { row: 'no owner before', replies: [], fruitless: 0 },
        { row: 'three owners that got nowhere', replies: [0, 0, 0], fruitless: 3 },
        {
          row: 'a first owner, and three that got no further',
          replies: [2, 2, 1, 0],
          fruitless: 3,
        },
        { row: 'a last owner that got further', replies: [0, 0, 1], fruitless: 0 },
        { row: 'a row that was broken once', replies: [1, 1, 2, 2], fruitless: 1 },
      ])('count $fruitless fruitless take-overs after $row', async ({ replies, fruitless }) => {
        for (const count of replies) await owned(count);
        const next = await store.leases.take(id);
        expect(next).toMatchObject({ epoch: replies.length + 1, fruitless });
      });

      test('forget that row when an owner gave the rollout back', async () => {
        await owned(0);
        const lease = await store.leases.take(id);
        expect(lease.fruitless).toBe(1);
        await store.leases.release(lease);
        expect((await store.leases.take(id)).fruitless).toBe(0);
      });

      test('are live while their owner runs, and not after', async () => {
        expect(await store.leases.isLive(id)).toBe(false);
        const other = start('take', id, 0);
        await other.first;
        expect(await store.leases.isLive(id)).toBe(true);
        expect(await store.leases.isCut(id)).toBe(false);
        await other.kill();
        expect(await store.leases.isLive(id)).toBe(false);
        expect(await store.leases.isCut(id)).toBe(true);
        const mine = await store.leases.take(id);
        expect(await store.leases.isLive(id)).toBe(true);
        await store.leases.release(mine);
        expect(await store.leases.isLive(id)).toBe(false);
        expect(await store.leases.isCut(id)).toBe(false);
      });

      test('are forgotten with their segments once settled', async () => {
        const lease = await store.leases.take(id);
        await store.journals.of(lease).append(toReply(1));
        await store.leases.settle(id);
        await store.leases.release(lease);
        expect(await store.leases.holds(lease)).toBe(false);
        expect(await store.leases.isLive(id)).toBe(false);
        const next = await store.leases.take(id);
        expect(next).toMatchObject({ epoch: 1, fruitless: 0 });
        expect(await store.journals.of(next).open()).toEqual([]);
      });
    });

    describe('journals', () => {
      const id = 'b/000001-aaaaaa/rollout-1.1';

      test('hold every entry whose append returned, after kill -9', async () => {
        const writer = start('append', id);
        let acknowledged = 0;
        writer.lines.on('line', (line: string) => (acknowledged = Number(line)));
        await writer.first;
        while (acknowledged < 200) await once(writer.lines, 'line');
        const read = once(writer.lines, 'close'); // what it had said may not be read yet
        await writer.kill();
        await read;
        const spent = await store.journals.wasted(await store.leases.take(id));
        const entries = spent.usage.outputTokens / 10;
        expect(entries).toBeGreaterThanOrEqual(acknowledged);
        expect(entries).toBeLessThanOrEqual(acknowledged + 1);
      });

      test('are one per epoch, and say what the epochs before cost', async () => {
        const first = await store.leases.take(id);
        await store.journals.of(first).append(toReply(1));
        await store.journals.of(first).append(toReply(2));
        const second = await store.leases.take(id);
        expect(await store.journals.of(second).open()).toEqual([]);
        await store.journals.of(second).append(toReply(1));
        expect(await store.journals.wasted(second)).toMatchObject({
          usage: { inputTokens: 200, outputTokens: 20 },
          costUsd: 1,
        });
        const third = await store.leases.take(id);
        expect((await store.journals.wasted(third)).costUsd).toBe(1.5);
        await store.journals.of(third).append(toReply(1, null));
        const fourth = await store.leases.take(id);
        expect((await store.journals.wasted(fourth)).costUsd).toBeNull();
      });

      test('go on from those of the owner before, less what that one writes afterwards', async () => {
        const mark = (epoch: number, entries: number): JournalEntry => ({
          kind: 'mark',
          mark: 'continued',
          epoch,
          entries,
          at: '2026-01-01T00:00:00.000Z',
        });
        const first = store.journals.of(await store.leases.take(id));
        expect(await first.before()).toBeUndefined();
        await first.append(toReply(1));
        await first.append(toReply(2));
        await store.leases.take(id); // it never wrote anything
        const third = store.journals.of(await store.leases.take(id));
        expect(await third.before()).toEqual({ epoch: 1, entries: [toReply(1), toReply(2)] });
        await third.append(mark(1, 2));
        await third.append(toReply(3));
        await first.append(toReply(9)); // stopped, and continued too late
        expect(await third.open()).toEqual([toReply(1), toReply(2), mark(1, 2), toReply(3)]);
        const lease = await store.leases.take(id);
        expect(lease.fruitless).toBe(0);
        const fourth = store.journals.of(lease);
        const before = await fourth.before();
        expect(before).toMatchObject({ epoch: 3, entries: { length: 4 } });
        await fourth.append(mark(3, 3));
        expect(await fourth.open()).toEqual([toReply(1), toReply(2), mark(1, 2), mark(3, 3)]);
        expect(await store.journals.wasted(lease)).toMatchObject({
          usage: { inputTokens: 200 }, // the first owner's third reply, and the third's
        });
        expect(await store.journals.read(await fourth.close())).toEqual(await fourth.open());
      });

      test('close into a blob: equal journals, equal blobs', async () => {
        const entries: JournalEntry[] = [
          { kind: 'sent', call: { scope: 's', step: 1, try: 1 }, at: '2026-01-01T00:00:00.000Z' },
          toReply(1),
        ];
        const refs = await Promise.all(
          [id, 'b/000002-bbbbbb/rollout-1.1'].map(async (rollout) => {
            const journal = store.journals.of(await store.leases.take(rollout));
            for (const entry of entries) await journal.append(entry);
            expect(await journal.open()).toEqual(entries);
            return journal.close();
          }),
        );
        expect(refs[0]).toBe(refs[1]);
        expect(await store.journals.read(refs[0]!)).toEqual(entries);
      });
    });

    describe('ends', () => {
      const [verified, no, held]: Verdict[] = [
        { kind: 'verified' },
        { kind: 'unverifiable', reason: 'self-check' },
        { kind: 'held', class: 'budget' },
      ];
      const sample = '000001-aaaaaa';
      const shown = async () => {
        const end = (await store.ends.read('b')).get(sample);
        return end && renderVerdict(end.verdict);
      };

      test('keep the first content verdict of a generation', async () => {
        await store.ends.record('b', toEnd(sample, { verdict: no! }));
        const second = await store.ends.record('b', toEnd(sample, { verdict: verified! }));
        expect(renderVerdict(second.verdict)).toBe('unverifiable:self-check');
        expect(await shown()).toBe('unverifiable:self-check');
      });

      test('let a content verdict win over a held end, in whatever order they come', async () => {
        await store.ends.record('b', toEnd(sample, { verdict: held! }));
        expect(await store.ends.isFinal('b', sample)).toBe(false);
        expect(await shown()).toBe('held:budget');
        await store.ends.record('b', toEnd(sample, { verdict: verified! }));
        const later = toEnd(sample, { verdict: held!, endedAt: '2027-01-01T00:00:00.000Z' });
        await (await at.open()).ends.record('b', later);
        expect(await store.ends.isFinal('b', sample)).toBe(true);
        expect(await shown()).toBe('verified');
      });

      test('show the later of two that are not final', async () => {
        const noProgress = { kind: 'held', class: 'no-progress' } as const;
        await store.ends.record(
          'b',
          toEnd(sample, { verdict: held!, endedAt: '2026-01-02T00:00:00.000Z' }),
        );
        await store.ends.record('b', toEnd(sample, { verdict: noProgress }));
        expect(await shown()).toBe('held:budget');
      });

      test('start over with a new generation', async () => {
        await store.ends.record('b', toEnd(sample));
        expect(await store.ends.generation('b', sample)).toBe(1);
        expect(await store.ends.renew('b', sample)).toBe(2);
        expect(await store.ends.generation('b', sample)).toBe(2);
        expect(await store.ends.isFinal('b', sample)).toBe(false);
        expect(await shown()).toBeUndefined();
        await store.ends.record('b', toEnd(sample, { generation: 2, verdict: no! }));
        expect(await shown()).toBe('unverifiable:self-check');
        expect(await store.ends.isFinal('b', sample)).toBe(true);
      });
    });

    describe('spend', () => {
      test('adds up over processes, dead ones too', async () => {
        expect(await store.spend.total('b')).toMatchObject({ calls: 0, costUsd: 0 });
        await doAndDie('spend', 'b', 40);
        await Promise.all(
          Array.from({ length: 10 }, () => store.spend.record('b', toSpendLine(0.25))),
        );
        await store.spend.record('other', toSpendLine(9));
        const usage = { inputTokens: 5000, outputTokens: 500 };
        expect(await store.spend.total('b')).toMatchObject({ calls: 50, costUsd: 12.5, usage });
        await store.spend.record('b', toSpendLine(0.5));
        expect(await store.spend.total('b')).toMatchObject({ calls: 51, costUsd: 13 });
      });

      test('is unknown as soon as one call has no price', async () => {
        await store.spend.record('b', toSpendLine(1));
        await store.spend.record('b', toSpendLine(null));
        expect(await store.spend.total('b')).toMatchObject({ calls: 2, costUsd: null });
      });
    });

    describe('attempts', () => {
      test('are orphans once their process is dead, until they are struck off', async () => {
        const other = start('enter', 'sample/b/2');
        await other.first;
        const leave = await store.attempts.enter(toAttempt('sample/b/1'));
        expect(await store.attempts.orphans()).toEqual([]);
        expect(await store.attempts.live()).toHaveLength(2);
        await other.kill();
        const [orphan, ...others] = await store.attempts.orphans();
        expect(orphan?.attempt).toEqual(toAttempt('sample/b/2'));
        expect(others).toEqual([]);
        await orphan?.strikeOff();
        expect(await store.attempts.orphans()).toEqual([]);
        expect(await store.attempts.live()).toEqual([toAttempt('sample/b/1')]);
        await leave();
        expect(await store.attempts.live()).toEqual([]);
      });
    });

    test('has one id for every process that opens it', async () => {
      const ids = await Promise.all(Array.from({ length: 8 }, () => at.open()));
      expect(new Set(ids.map(({ id }) => id)).size).toBe(1);
    });
  });
}

// --- internal ---

const toAttempt = (name: string) => ({ activity: 'rollout', workflowId: name, taskToken: name });

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

async function* inPieces(...pieces: string[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield Buffer.from(piece);
}

async function collect(stream: NodeJS.ReadableStream): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(Buffer.from(piece));
  return pieces;
}
