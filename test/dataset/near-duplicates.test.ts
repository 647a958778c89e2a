import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BINS, shingles, signatureOf, similarity } from '../../dataset/minhash.ts';
import { groupAlike } from '../../dataset/near-duplicates.ts';

const hashes = fc.uniqueArray(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), {
  minLength: 1,
  maxLength: 400,
});

function jaccard(a: number[], b: number[]): number {
  const inB = new Set(b);
  const common = new Set(a.filter((item) => inB.has(item)));
  return common.size / new Set([...a, ...b]).size;
}

describe('signatureOf', () => {
  test('does not depend on order or repetition, and nothing has none', () => {
    fc.assert(
      fc.property(hashes, (items) => {
        const signature = signatureOf(items)!;
        expect(signatureOf([...items, ...items].toReversed())).toEqual(signature);
        expect(similarity(signature, signature)).toBe(1);
      }),
    );
    expect(signatureOf([])).toBeUndefined();
  });

  test('estimates the share that two sets have in common, small sets and large ones', () => {
    const errors: number[] = [];
    fc.assert(
      fc.property(hashes, hashes, hashes, (common, left, right) => {
        const [a, b] = [
          [...common, ...left],
          [...common, ...right],
        ];
        const error = similarity(signatureOf(a)!, signatureOf(b)!) - jaccard(a, b);
        errors.push(error);
        // Of few items each one moves many bins.
        if (common.length + left.length + right.length > BINS)
          expect(Math.abs(error)).toBeLessThan(0.3);
      }),
      { numRuns: 400 },
    );
    const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    const deviation = Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length);
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(deviation).toBeLessThan(0.1);
  });

  test('sets with nothing in common have nothing in common', () => {
    fc.assert(
      fc.property(hashes, (items) => {
        const even = items.map((item) => item & ~1);
        const odd = items.map((item) => item | 1);
        expect(similarity(signatureOf(even)!, signatureOf(odd)!)).toBeLessThan(0.05);
      }),
    );
  });
});

describe('shingles', () => {
  test('see words and signs, not spaces', () => {
    const of = (text: string) => [...shingles([text], 3)];
    expect(of('a = f( b )\n')).toEqual(of('  a=f(b)'));
    expect(of('a = g(b)')).not.toEqual(of('a = f(b)'));
    expect(of('x')).toHaveLength(1);
    expect(of(' \n')).toEqual([]);
  });

  test('do not reach from one text into the next', () => {
    expect([...shingles(['a b', 'c'], 2)]).toEqual([
      ...shingles(['a b'], 2),
      ...shingles(['c'], 2),
    ]);
  });
});

describe('groupAlike', () => {
  /** Sets of ten bases, each with a few items of its own: alike within a base, and not between. */
  const families = fc.array(
    fc.record({
      base: fc.nat({ max: 9 }),
      own: fc.uniqueArray(fc.nat({ max: 999 }), { maxLength: 4 }),
    }),
    { maxLength: 60 },
  );
  const setOf = ({ base, own }: { base: number; own: number[] }) =>
    signatureOf([
      ...Array.from({ length: 200 }, (_, index) => base * 1000 + index),
      ...own.map((item) => 1_000_000 + item),
    ]);

  test('finds what comparing each with each finds', () => {
    fc.assert(
      fc.property(families, fc.constantFrom(0.5, 0.8, 0.9), (members, threshold) => {
        const groups = groupAlike(members.map(setOf), threshold);
        const firsts = members.map(({ base }) => members.findIndex((each) => each.base === base));
        expect([...groups]).toEqual(firsts);
      }),
    );
  });

  test('what has no signature is alone, and equal ones are together at 1', () => {
    const [a, b] = [signatureOf([1, 2, 3]), signatureOf([7, 8])];
    expect([...groupAlike([a, undefined, b, a, undefined, b], 1)]).toEqual([0, 1, 2, 0, 4, 2]);
  });
});
