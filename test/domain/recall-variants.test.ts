import { expect, test } from 'vitest';
import { recallByFile } from '../../domain/recall.ts';
import { type RecallVariants, recallVariants } from '../../domain/recall-variants.ts';

/** A patch that adds and removes lines of files; each line has its sign. */
function toPatch(files: Record<string, string[]>): string {
  return Object.entries(files)
    .map(([path, lines]) => {
      const removed = lines.filter((line) => line.startsWith('-')).length;
      const header = `--- a/${path}\n+++ b/${path}\n@@ -1,${removed} +1,${lines.length - removed} @@\n`;
      return `${header}${lines.join('\n')}\n`;
    })
    .join('');
}

function variantsOf(target: Record<string, string[]>, produced: Record<string, string[]>) {
  const [first, second] = [toPatch(target), toPatch(produced)];
  return recallVariants(first, second, recallByFile(first, second));
}

function recalls(variants: RecallVariants) {
  return Object.fromEntries(Object.entries(variants).map(([name, { recall }]) => [name, recall]));
}

test('files that say less about a change can be left out, one kind at a time or all', () => {
  const target = {
    'a.py': ['+x', '+y'],
    'tests/test_a.py': ['+t'],
    'docs/a.md': ['+d'],
    'dist/a.js': ['+g'],
    'go.sum': ['+s'],
    'vendor/v.go': ['+v'],
  };
  expect(recalls(variantsOf(target, { 'a.py': ['+x', '+t'] }))).toEqual({
    withoutTests: 1 / 6,
    withoutDocs: 2 / 6,
    withoutGenerated: 2 / 4,
    core: 1 / 2,
    sameFile: 1 / 7,
    withoutMoved: 2 / 7,
    ignoringWhitespace: 2 / 7,
  });
});

test('without files that count there is no figure', () => {
  const { withoutTests, core } = variantsOf({ 'tests/test_a.py': ['+t'] }, { 'a.py': ['+t'] });
  expect(withoutTests).toMatchObject({ recall: null, targetLines: 0, producedLines: 1 });
  expect(core.recall).toBeNull();
});

test('a line in another file counts, but not for the same file', () => {
  const variants = variantsOf({ 'a.py': ['+x', '+y'] }, { 'a.py': ['+x'], 'b.py': ['+y'] });
  expect(variants.core).toMatchObject({ recall: 1, precision: 1 });
  expect(variants.sameFile).toMatchObject({ recall: 0.5, matched: 1, producedLines: 2 });
});

test('a line that only moves is no change, however often it stands there', () => {
  const moved = { 'a.py': ['-one', '-two', '+new', '+two', '+one', '+two'] };
  const { withoutMoved } = variantsOf(moved, { 'a.py': ['+new'] });
  expect(withoutMoved).toMatchObject({ matched: 1, targetLines: 2 });
  const pure = variantsOf({ 'a.py': ['-one'], 'b.py': ['+one'] }, { 'a.py': ['+one'] });
  expect(pure.withoutMoved).toMatchObject({ recall: null, targetLines: 0 });
});

test('whitespace can be ignored, and the sign never', () => {
  const target = { 'a.py': ['+if x:', '+    y = f(a, b)', '-z'] };
  const { ignoringWhitespace, core } = variantsOf(target, {
    'a.py': ['+  if  x :', '+y=f(a,b)', '+z'],
  });
  expect(core.matched).toBe(0);
  expect(ignoringWhitespace).toMatchObject({ matched: 2, targetLines: 3, producedLines: 3 });
});

test('stays fast on a patch of many lines', () => {
  const lines = Array.from({ length: 100_000 }, (_, index) => `+line ${index % 5000}`);
  const start = performance.now();
  const variants = variantsOf({ 'a.py': lines }, { 'b.py': lines.toReversed() });
  expect(variants.core.recall).toBe(1);
  expect(performance.now() - start).toBeLessThan(5_000);
});
