/** What every store promises of what is kept in it, whatever it is kept in itself. */

import { describe, expect, test } from 'vitest';
import { renderVerdict, type Verdict } from '../../domain/outcome.ts';
import type { SampleEnd } from '../../domain/sample.ts';
import { type Store, StoreCorrupt } from '../../domain/store.ts';
import { toBatch, toEnd, toSamples } from '../support/batch-fixture.ts';
import { toSpendLine } from '../support/paid-calls.ts';
import { openStoreSuite, type StoreUnderTest } from '../support/store-suite.ts';

export function describeStore(name: string, create: () => Promise<StoreUnderTest>): void {
  describe(`store: ${name}`, () => {
    let store: Store;
    const { open, start, doAndDie } = openStoreSuite(create, (opened) => (store = opened));

    const key = { batchId: 'b', sampleKey: '000001-aaaaaa', name: 'verify-0f' };

    describe('results', () => {
      test('keep the first value, whoever else writes the same key at the same time', async () => {
        const stores = await Promise.all(Array.from({ length: 4 }, () => open()));
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
        const stores = await Promise.all(Array.from({ length: 8 }, () => open()));
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

    describe('ends', () => {
      const [verified, no, held]: Verdict[] = [
        { kind: 'verified' },
        { kind: 'unverifiable', reason: 'self-check' },
        { kind: 'held', class: 'budget' },
      ];
      const sample = '000001-aaaaaa';
      const shown = async () => {
        const [outcome] = [...(await store.ends.outcomes('b'))];
        return outcome && renderVerdict(outcome.verdict);
      };
      const left = () => store.ends.unfinished('b', [sample]);

      test('keep the first content verdict of a generation', async () => {
        await store.ends.record('b', toEnd(sample, { verdict: no! }));
        const second = await store.ends.record('b', toEnd(sample, { verdict: verified! }));
        expect(renderVerdict(second.verdict)).toBe('unverifiable:self-check');
        expect(await shown()).toBe('unverifiable:self-check');
      });

      test('let a content verdict win over a held end, in whatever order they come', async () => {
        await store.ends.record('b', toEnd(sample, { verdict: held! }));
        expect(await left()).toEqual([{ key: sample, generation: 1, failed: held }]);
        expect(await shown()).toBe('held:budget');
        expect(await store.ends.of('b', sample)).toEqual(toEnd(sample, { verdict: held! }));
        await store.ends.record('b', toEnd(sample, { verdict: verified! }));
        const later = toEnd(sample, { verdict: held!, endedAt: '2027-01-01T00:00:00.000Z' });
        await (await open()).ends.record('b', later);
        expect(await left()).toEqual([]);
        expect(await shown()).toBe('verified');
        expect(await store.ends.of('b', sample)).toEqual(toEnd(sample));
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
        expect(await left()).toEqual([]);
        expect(await store.ends.renew('b', sample)).toBe(2);
        expect(await left()).toEqual([{ key: sample, generation: 2 }]);
        expect(await shown()).toBeUndefined();
        expect(await store.ends.of('b', sample)).toBeUndefined();
        await store.ends.record('b', toEnd(sample, { generation: 2, verdict: no! }));
        expect(await shown()).toBe('unverifiable:self-check');
        expect(await left()).toEqual([]);
      });

      test("come whole and in the manifest's order, in whatever order samples end", async () => {
        const ends = toSamples(2100).map(({ key }, index) => toEnd(key, { detail: `${index}, ü` }));
        const some = ends.filter((_, index) => index % 7 > 0);
        for (const end of some.toReversed().filter((_, index) => index % 100 === 0)) {
          await store.ends.record('b', end);
        }
        for (const end of ends.slice(0, 20)) await store.ends.record('b', end);
        const streamed: SampleEnd[] = [];
        for await (const end of store.ends.stream('b')) streamed.push(end);
        const keys = streamed.map(({ key }) => key);
        expect(keys).toEqual([...(await store.ends.outcomes('b'))].map(({ key }) => key));
        expect(keys).toEqual([...keys].sort());
        expect(keys).toHaveLength(20 + 18);
        expect(streamed).toEqual(ends.filter(({ key }) => keys.includes(key)));
      });

      test('that another process records meanwhile are there at the next look', async () => {
        const other = await open();
        expect(await left()).toHaveLength(1);
        await other.ends.record('b', toEnd(sample));
        expect(await left()).toEqual([]);
      });

      test('that a worker could not enter into the summary before it died are found', async () => {
        await store.ledger.put({ batchId: 'b', sampleKey: sample, name: 'end-1' }, toEnd(sample));
        expect(await shown()).toBeUndefined();
        expect(await left()).toEqual([]);
        expect(await shown()).toBe('verified');
      });

      test('can be listed anew from the results, and lose nothing by it', async () => {
        const samples = toSamples(5).map(({ key }) => key) as [string, string, string];
        await store.batches.append('b', toSamples(5));
        await store.ends.record('b', toEnd(samples[0]));
        await store.ends.record('b', toEnd(samples[1], { verdict: held! }));
        await store.ends.record('b', toEnd(samples[2]));
        await store.ends.renew('b', samples[2]);
        const before = [...(await store.ends.outcomes('b'))];
        const steps: string[] = [];
        const report = (done: number, planned: number) => steps.push(`${done}/${planned}`);
        expect(await store.ends.rebuild('b', report)).toBe(1);
        expect(steps).toEqual(['5/5']);
        for (const each of [store, await open()]) {
          expect([...(await each.ends.outcomes('b'))]).toEqual(before);
          const keys = (await each.ends.unfinished('b', samples.slice(0, 3))).map(({ key }) => key);
          expect(keys).toEqual([samples[1], samples[2]]);
        }
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

      test('counts the calls that have no price beside the sum of the others', async () => {
        await store.spend.record('b', toSpendLine(1));
        await store.spend.record('b', toSpendLine(null));
        const total = { calls: 2, costUsd: 1, unpricedCalls: 1 };
        expect(await store.spend.total('b')).toMatchObject(total);
      });

      test('gives every line back, of all processes', async () => {
        await doAndDie('spend', 'b', 3);
        await store.spend.record('b', toSpendLine(0.5));
        const costs: (number | null)[] = [];
        for await (const line of store.spend.lines('b')) {
          expect(line).toEqual(toSpendLine(line.costUsd));
          costs.push(line.costUsd);
        }
        expect(costs.sort((a, b) => Number(a) - Number(b))).toEqual([0.25, 0.25, 0.25, 0.5]);
      });
    });

    describe('claims', () => {
      const caps = { costUsd: 10, tokens: Infinity, hours: Infinity };
      const wish = { costUsd: 4, tokens: 0 };

      test('of several processes never are more than the cap together', async () => {
        const others = Array.from({ length: 3 }, () => start('reserve', 'b', 4));
        const granted = await Promise.all(others.map(({ first }) => first as Promise<number>));
        const mine = (await store.claims.claim('b', caps, wish))?.upTo.costUsd ?? 0;
        const sum = granted.reduce((all, each) => all + each, mine);
        expect(sum).toBeLessThanOrEqual(10);
        expect(Math.min(mine, ...granted)).toBeGreaterThan(0);
        await Promise.all(others.map((other) => other.kill()));
      });

      test('are made of what is left after all that was spent', async () => {
        await doAndDie('spend', 'b', 38);
        const claim = await store.claims.claim('b', caps, wish);
        expect(claim?.upTo.costUsd).toBe(0.25);
        await doAndDie('spend', 'b', 2);
        expect(await store.claims.claim('b', caps, wish)).toBeUndefined();
      });

      test('are renewed for as long as a batch runs', async () => {
        for (let round = 1; round <= 60; round += 1) await store.claims.claim('b', caps, wish);
        expect((await store.claims.claim('b', caps, wish))?.upTo.costUsd).toBe(4);
      });
    });

    describe('pulses', () => {
      const pulse = {
        endpoint: 'e',
        model: 'm',
        callsUnderWay: 2,
        inputTokensPerSecond: 10,
        outputTokensPerSecond: 1,
      };

      test('add up over processes that live, until they say that they do nothing', async () => {
        const other = start('beat', 'b', 3);
        await other.first;
        await store.pulses.beat('b', [pulse, { ...pulse, model: 'n' }]);
        expect(await store.pulses.now('b')).toHaveLength(2);
        expect(await store.pulses.now('b')).toContainEqual({
          endpoint: 'e',
          model: 'm',
          callsUnderWay: 5,
          inputTokensPerSecond: 20,
          outputTokensPerSecond: 2,
        });
        await other.kill();
        expect(await (await open()).pulses.now('b')).toContainEqual(pulse);
        await store.pulses.beat('b', []);
        expect(await store.pulses.now('b')).toEqual([]);
      });
    });

    describe('tunings', () => {
      test('are seen by others, one value changed at a time, until they are taken back', async () => {
        const other = await open();
        expect(await other.tunings.read('b')).toEqual({});
        await store.tunings.change('b', { window: 8, maxCostUsd: 2.5 });
        await other.tunings.change('b', { window: 4 });
        expect(await store.tunings.read('b')).toEqual({ window: 4, maxCostUsd: 2.5 });
        await store.tunings.change('b', { maxCostUsd: null });
        expect(await other.tunings.read('b')).toEqual({ window: 4 });
      });

      test('are of one batch, but for the slots of workers, who work for all', async () => {
        await store.tunings.change('b', { window: 8, slots: 3 });
        const other = await open();
        expect(await other.tunings.read('c')).toEqual({ slots: 3 });
        expect(await other.tunings.slots()).toBe(3);
        await store.tunings.change('c', { slots: null });
        expect(await other.tunings.read('b')).toEqual({ window: 8 });
        expect(await other.tunings.slots()).toBeUndefined();
      });
    });

    test('has one id for every process that opens it', async () => {
      const ids = await Promise.all(Array.from({ length: 8 }, () => open()));
      expect(new Set(ids.map(({ id }) => id)).size).toBe(1);
    });
  });
}

// --- internal ---

async function* inPieces(...pieces: string[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield Buffer.from(piece);
}

async function collect(stream: NodeJS.ReadableStream): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(Buffer.from(piece));
  return pieces;
}
