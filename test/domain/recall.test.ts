import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { changedLines } from '../../domain/patch.ts';
import { recall, recallByFile } from '../../domain/recall.ts';

interface Vector {
  id: string;
  kind: string;
  target: string;
  produced: string;
  sera: number | null;
  corrected: number | null;
  correctedPrecision: number | null;
  matched: number;
  addedTarget: number;
  removedTarget: number;
  addedProduced: number;
  removedProduced: number;
}

const vectors = readFileSync(new URL('../fixtures/recall-public.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Vector);

function countSigns(patch: string): { added: number; removed: number } {
  const counts = { added: 0, removed: 0 };
  changedLines(patch, (start) => {
    counts[patch[start] === '+' ? 'added' : 'removed'] += 1;
  });
  return counts;
}

function toPatch(lines: string[]): string {
  const added = lines.filter((line) => line.startsWith('+')).length;
  const counts = `-1,${lines.length - added} +1,${added}`;
  return `diff --git a/f.py b/f.py\n--- a/f.py\n+++ b/f.py\n@@ ${counts} @@\n${lines.join('\n')}\n`;
}

const signedLine = fc
  .tuple(fc.constantFrom('+', '-'), fc.constantFrom('', ' ', 'a', 'b', '-b', '++c', 'd\r'))
  .map(([sign, text]) => sign + text);
const signedLines = fc.array(signedLine, { maxLength: 30 });
const anyPatch = signedLines.map(toPatch);
const modes = ['exact', 'sera'] as const;

describe('recall', () => {
  test('the fixture has all its cases', () => {
    expect(vectors).toHaveLength(336);
  });

  test.each(vectors)('case $id ($kind) has the known figures in both modes', (vector) => {
    const exact = recall(vector.target, vector.produced, 'exact');
    expect(exact).toMatchObject({
      recall: vector.corrected,
      precision: vector.correctedPrecision,
      matched: vector.matched,
      targetLines: vector.addedTarget + vector.removedTarget,
      producedLines: vector.addedProduced + vector.removedProduced,
    });
    expect(countSigns(vector.target)).toEqual({
      added: vector.addedTarget,
      removed: vector.removedTarget,
    });
    expect(recall(vector.target, vector.produced, 'sera').recall).toBe(vector.sera);
  });

  test('F1 is the harmonic mean, 0 where nothing matches, null where a side has no countable line', () => {
    const two = toPatch(['+a', '+b']);
    expect(recall(two, toPatch(['+a']), 'exact')).toMatchObject({
      recall: 0.5,
      precision: 1,
      f1: 2 / 3,
    });
    expect(recall(two, toPatch(['+c']), 'exact').f1).toBe(0);
    expect(recall(two, '', 'exact')).toMatchObject({ recall: 0, precision: null, f1: null });
    expect(recall('', two, 'exact')).toMatchObject({ recall: null, precision: 0, f1: null });
  });

  test.each(modes)('%s: stays between 0 and 1 and never matches more than a side has', (mode) => {
    fc.assert(
      fc.property(anyPatch, anyPatch, (target, produced) => {
        const figures = recall(target, produced, mode);
        expect(figures.matched).toBeLessThanOrEqual(
          Math.min(figures.targetLines, figures.producedLines),
        );
        if (figures.recall !== null) expect(figures.recall).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  test.each(modes)('%s: a patch recalls itself whole, or has nothing to recall', (mode) => {
    fc.assert(
      fc.property(anyPatch, (patch) => {
        expect([1, null]).toContain(recall(patch, patch, mode).recall);
      }),
    );
  });

  test.each(modes)('%s: the order of lines does not matter', (mode) => {
    const shuffled = signedLines.chain((lines) =>
      fc.tuple(fc.constant(lines), fc.shuffledSubarray(lines, { minLength: lines.length })),
    );
    fc.assert(
      fc.property(shuffled, anyPatch, ([lines, permuted], other) => {
        const before = recall(toPatch(lines), other, mode);
        expect(recall(toPatch(permuted), other, mode)).toEqual(before);
      }),
    );
  });

  test.each(modes)('%s: precision is the recall of the pair turned round', (mode) => {
    fc.assert(
      fc.property(anyPatch, anyPatch, (a, b) => {
        expect(recall(a, b, mode).precision).toBe(recall(b, a, mode).recall);
      }),
    );
  });

  test('counts right where a patch has far more distinct lines than the first table holds', () => {
    const lines = Array.from({ length: 5000 }, (_, index) => `+line ${index % 3000}`);
    const half = lines.slice(0, 2500);
    expect(recall(toPatch(lines), toPatch(half.toReversed()), 'exact')).toMatchObject({
      recall: 0.5,
      precision: 1,
    });
  });

  test.each([
    ['a letter', '+A', '+\u0141'],
    ['an emoji', '+\u{1f600}', '+\u{1f601}'],
    ['half a character', '+\ud800', '+\ud801'],
  ])('tells lines apart that differ in %s, however it is stored', (_, one, other) => {
    expect(recall(toPatch([one]), toPatch([other]), 'exact').matched).toBe(0);
    expect(recall(toPatch([one, '+é']), toPatch([one]), 'exact').matched).toBe(1);
  });

  test('half a million lines without a counterpart match nothing, although some hashes are equal', () => {
    const linesOf = (name: string) =>
      Array.from({ length: 250_000 }, (_, index) => `+${name} ${Math.imul(index, 0x9e3779b1)}`);
    expect(recall(toPatch(linesOf('a')), toPatch(linesOf('b')), 'exact').matched).toBe(0);
  });
});

describe('recallByFile', () => {
  test('a line moved to another file counts for neither, and untouched paths of one side are listed', () => {
    const target = toPatch(['+a', '+b']);
    const produced = `${toPatch(['+a'])}${toPatch(['+b']).replaceAll('f.py', 'g.py')}`;
    expect(recall(target, produced, 'exact').recall).toBe(1);
    expect(recallByFile(target, produced)).toMatchObject([
      { path: 'f.py', recall: 0.5, precision: 1 },
      { path: 'g.py', recall: null, precision: 0 },
    ]);
  });
});
