/** What every store promises of who works on what: leases of rollouts, their journals, attempts at activities. */

import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { JournalEntry } from '../../domain/ports.ts';
import type { Store } from '../../domain/store.ts';
import { toReply, toSent } from '../support/paid-calls.ts';
import { openStoreSuite, type StoreUnderTest } from '../support/store-suite.ts';

export function describeOwnership(name: string, create: () => Promise<StoreUnderTest>): void {
  describe(`owners in a store: ${name}`, () => {
    let store: Store;
    const { open, start, doAndDie } = openStoreSuite(create, (opened) => (store = opened));

    describe('leases', () => {
      const id = 'b/000001-aaaaaa/rollout-1.1';

      test('give each epoch to one owner', async () => {
        const stores = await Promise.all(Array.from({ length: 4 }, () => open()));
        const leases = await Promise.all(
          Array.from({ length: 12 }, (_, racer) => stores[racer % 4]!.leases.take(id)),
        );
        const epochs = leases.map(({ epoch }) => epoch).sort((a, b) => a - b);
        expect(epochs).toEqual(Array.from({ length: 12 }, (_, index) => index + 1));
        const holders = await Promise.all(leases.map((lease) => store.leases.holds(lease)));
        expect(holders.filter(Boolean)).toHaveLength(1);
      });

      /** An owner that asked, got so many replies further and is heard of no more. */
      async function owned(replies: number) {
        const lease = await store.leases.take(id);
        const journal = store.journals.of(lease);
        await journal.append(toSent(1));
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

      test('count no owner that was lost while it waited for the first sandbox', async () => {
        for (let owner = 1; owner <= 4; owner += 1) {
          expect(await store.leases.take(id)).toMatchObject({ epoch: owner, fruitless: 0 });
        }
        await owned(0);
        expect(await store.leases.take(id)).toMatchObject({ fruitless: 1 });
        expect(await store.leases.take(id)).toMatchObject({ fruitless: 1 });
      });

      test('forget that row when an owner gave the rollout back', async () => {
        await owned(0);
        const lease = await store.leases.take(id);
        expect(lease.fruitless).toBe(1);
        await store.leases.release(lease);
        expect((await store.leases.take(id)).fruitless).toBe(0);
      });

      test('are live while their owner runs, and not after', async () => {
        expect(await store.leases.ownerOf(id)).toBe('none');
        const other = start('take', id, 0);
        await other.first;
        expect(await store.leases.ownerOf(id)).toBe('live');
        await other.kill();
        expect(await store.leases.ownerOf(id)).toBe('gone');
        const mine = await store.leases.take(id);
        expect(await store.leases.ownerOf(id)).toBe('live');
        await store.leases.release(mine);
        expect(await store.leases.ownerOf(id)).toBe('gone');
        await store.leases.settle(id);
        expect(await store.leases.ownerOf(id)).toBe('none');
      });

      test('are forgotten with their segments once settled', async () => {
        const lease = await store.leases.take(id);
        await store.journals.of(lease).append(toReply(1));
        await store.leases.settle(id);
        await store.leases.release(lease);
        expect(await store.leases.holds(lease)).toBe(false);
        expect(await store.leases.ownerOf(id)).toBe('none');
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

    describe('shares', () => {
      test('are as many as processes ask the teacher of a batch, each with a place of its own', async () => {
        expect(await store.shares.take('b')).toEqual({ index: 0, of: 1 });
        const others = [start('share', 'b'), start('share', 'b')];
        for (const other of others) await other.first;
        await start('share', 'another').first;
        expect(await store.shares.take('b')).toMatchObject({ of: 3 });
        const again = [await start('share', 'b').first, await store.shares.take('b')];
        expect(again).toMatchObject([{ of: 4 }, { of: 4 }]);
        await others[0]?.kill();
        expect(await store.shares.take('b')).toMatchObject({ of: 3 });
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
  });
}

// --- internal ---

const toAttempt = (name: string) => ({ activity: 'rollout', workflowId: name, taskToken: name });
