import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { drawLot, type Candidate } from '../../dataset/candidates.ts';
import { choose } from '../../dataset/choose.ts';
import { shingles, signatureOf, similarity } from '../../dataset/minhash.ts';
import { NO_VIEWS, type Views } from '../../dataset/views.ts';

function row(id: string, change: Partial<Candidate> = {}): Candidate {
  return {
    id,
    kind: 't2',
    simulated: false,
    function: 1,
    file: 1,
    changed: [],
    patch: undefined,
    trajectory: undefined,
    order: 0,
    stratum: null,
    meets: [],
    lot: drawLot(0, id),
    replies: 3,
    trained: 3,
    ...change,
  };
}

const signed = (text: string) => signatureOf(shingles([text], 3));
const chosen = (candidates: Candidate[], views: Partial<Views>) =>
  choose(candidates, { ...NO_VIEWS, ...views });
const idsOf = (candidates: Candidate[], views: Partial<Views>) =>
  chosen(candidates, views).rows.map(({ id }) => id);
const many = (count: number, change: (index: number) => Partial<Candidate> = () => ({})) =>
  Array.from({ length: count }, (_, index) => row(`r${index}`, change(index)));

describe('choose', () => {
  test('keeps all rows in their order where nothing is asked', () => {
    const rows = many(20);
    expect(idsOf(rows, {})).toEqual(rows.map(({ id }) => id));
  });

  test('keeps T2 of near-duplicates, and of two T2 the preferred one', () => {
    const patch = signed('+ return value strip');
    const rows = [
      row('a1', { kind: 't1', patch }),
      row('a2', { patch, order: -0.5 }),
      row('b2', { patch, order: -0.9 }),
      row('c2', { patch: signed('+ raise an error here') }),
      row('none', { kind: 't1' }),
    ];
    const { rows: kept, lost, views } = chosen(rows, { distinctPatches: 0.8 });
    expect(kept.map(({ id }) => id)).toEqual(['b2', 'c2', 'none']);
    expect(lost).toEqual({ t1: { 'near-duplicate-patch': 1 }, t2: { 'near-duplicate-patch': 1 } });
    expect(views).toEqual([
      { view: 'near-duplicate-patch', t1: { in: 2, out: 1 }, t2: { in: 3, out: 2 } },
    ]);
  });

  test('keeps at most so many rows of a function and of a file, whatever their kind', () => {
    const rows = many(12, (index) => ({
      kind: index % 2 === 0 ? 't1' : 't2',
      function: index % 4,
      file: index % 2,
    }));
    expect(chosen(rows, { maxPerFunction: 2 }).rows).toHaveLength(8);
    expect(chosen(rows, { maxPerFunction: 2, maxPerFile: 3 }).views).toEqual([
      { view: 'max-per-function', t1: { in: 6, out: 4 }, t2: { in: 6, out: 4 } },
      { view: 'max-per-file', t1: { in: 4, out: 3 }, t2: { in: 4, out: 3 } },
    ]);
  });

  test('a larger draw has all rows of a smaller one, and another seed gives others', () => {
    const draw = (t2: number, seed = 0) =>
      idsOf(
        many(100, (index) => ({ lot: drawLot(seed, `r${index}`) })),
        { maxRows: { t2 } },
      );
    expect(draw(10)).toHaveLength(10);
    expect(draw(20)).toEqual(expect.arrayContaining(draw(10)));
    expect(draw(10, 1)).not.toEqual(draw(10));
    expect(draw(0)).toEqual([]);
  });

  test('takes the preferred rows first, and those without the fact last', () => {
    const rows = many(10, (index) => ({ order: index === 3 ? Infinity : -index }));
    expect(idsOf(rows, { maxRows: { t2: 3 } })).toEqual(['r7', 'r8', 'r9']);
    expect(idsOf(rows, { maxRows: { t2: 9 } })).not.toContain('r3');
  });

  test('spreads a draw over strata as evenly as they allow', () => {
    const rows = many(100, (index) => ({ stratum: index < 3 ? 'small' : `large ${index % 2}` }));
    const { rows: kept } = chosen(rows, { maxRows: { t2: 21 } });
    const counts = ['small', 'large 0', 'large 1'].map(
      (stratum) => kept.filter((each) => each.stratum === stratum).length,
    );
    expect(counts).toEqual([3, 9, 9]);
  });

  test('a limit for one kind leaves the other alone', () => {
    const rows = many(10, (index) => ({ kind: index < 5 ? 't1' : 't2' }));
    expect(idsOf(rows, { maxRows: { t1: 0 } })).toEqual(['r5', 'r6', 'r7', 'r8', 'r9']);
  });
});

describe('a held-out share', () => {
  const word = fc.constantFrom('alpha', 'beta', 'gamma', 'delta', 'omega');
  const drawnRows = fc.array(
    fc.record({
      kind: fc.constantFrom('t1' as const, 't2' as const),
      file: fc.nat({ max: 12 }),
      changed: fc.array(fc.nat({ max: 15 }), { maxLength: 2 }),
      words: fc.array(word, { minLength: 3, maxLength: 6 }),
    }),
    { maxLength: 40 },
  );

  test('has no function, file or near-duplicate in common with the rest', () => {
    fc.assert(
      fc.property(drawnRows, fc.nat({ max: 99 }), (drawn, seed) => {
        const rows = drawn.map(({ words, ...each }, index) =>
          row(`r${index}`, { ...each, function: each.file, patch: signed(words.join(' ')) }),
        );
        const { rows: kept, lost } = chosen(rows, { heldOut: 0.3, seed });
        const of = (split: string) => kept.filter((each) => each.split === split);
        expect(of('held-out').length).toBeLessThanOrEqual(Math.round(0.3 * rows.length));
        const lostRows = [...Object.values(lost.t1), ...Object.values(lost.t2)];
        expect(kept.length + lostRows.reduce((sum, count) => sum + count, 0)).toBe(rows.length);
        const trainFiles = new Set(of('train').flatMap(({ file, changed }) => [file, ...changed]));
        for (const { file, changed, patch } of of('held-out')) {
          for (const each of [file, ...changed]) expect(trainFiles).not.toContain(each);
          for (const other of of('train'))
            expect(similarity(patch!, other.patch!)).toBeLessThan(0.8);
        }
      }),
    );
  });

  test('is about as large as asked where files are many, and drawn by the seed', () => {
    const rows = many(200, (index) => ({ file: index % 50, function: index }));
    const held = (seed: number) =>
      chosen(rows, { heldOut: 0.1, seed })
        .rows.filter(({ split }) => split === 'held-out')
        .map(({ id }) => id);
    expect(held(0)).toHaveLength(20);
    expect(held(0)).toEqual(held(0));
    expect(held(1)).not.toEqual(held(0));
  });
});
