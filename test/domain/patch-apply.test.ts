import { createTwoFilesPatch } from 'diff';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { applyPatch, pathsOf } from '../../domain/patch-apply.ts';

const OLD = 'one\ntwo\nthree\nfour\n';
const apply = (patch: string, files: Record<string, string> = { 'a.txt': OLD }) =>
  applyPatch(patch, (path) => files[path]);
const change = (hunk: string) => `--- a/a.txt\n+++ b/a.txt\n${hunk}`;

describe('applyPatch', () => {
  test('changes, makes and deletes files', () => {
    const patch = [
      change('@@ -2,2 +2,2 @@\n two\n-three\n+3\n'),
      '--- /dev/null\n+++ b/new.txt\n@@ -0,0 +1,2 @@\n+x\n+\n',
      'diff --git a/old.txt b/old.txt\ndeleted file mode 100644\n--- a/old.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n',
    ].join('');
    expect(apply(patch, { 'a.txt': OLD, 'old.txt': 'gone\n' })).toEqual({
      files: [
        { path: 'a.txt', before: OLD, after: 'one\ntwo\n3\nfour\n' },
        { path: 'new.txt', before: null, after: 'x\n\n' },
        { path: 'old.txt', before: 'gone\n', after: null },
      ],
    });
    expect(pathsOf(patch)).toEqual(['a.txt', 'new.txt', 'old.txt']);
  });

  test.each([
    ['whose context is another', change('@@ -2,2 +2,2 @@\n zwei\n-three\n+3\n')],
    ['whose removed line is another', change('@@ -3 +3 @@\n-drei\n+3\n')],
    ['whose lines stand elsewhere', change('@@ -1,2 +1,2 @@\n two\n-three\n+3\n')],
    ['that begins behind the end', change('@@ -7 +7 @@\n-three\n+3\n')],
    ['whose hunk is cut short', change('@@ -1,3 +1,3 @@\n one\n-two\n')],
    ['whose hunks overlap', change('@@ -2 +2 @@\n-two\n+2\n@@ -2 +2 @@\n-two\n+2\n')],
    ['that makes a file which is there', '--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1 @@\n+x\n'],
    ['that deletes half a file', '--- a/a.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n'],
  ])('a patch %s does not fit', (_which, patch) => {
    expect(apply(patch)).toEqual({ misfit: 'a.txt' });
  });

  test('a change of a file that is missing does not fit', () => {
    expect(apply(change('@@ -1 +1 @@\n-one\n+1\n'), {})).toEqual({ misfit: 'a.txt' });
  });

  test('modes and binary files change no text', () => {
    const patch =
      'diff --git a/a.txt b/a.txt\nold mode 100644\nnew mode 100755\n' +
      'diff --git a/b.bin b/b.bin\nindex 1..2\nBinary files a/b.bin and b/b.bin differ\n';
    expect(apply(patch)).toEqual({ files: [{ path: 'a.txt', before: OLD, after: OLD }] });
  });

  test('what a differ says of two texts leads from the one to the other', () => {
    const text = fc
      .array(fc.constantFrom('a', 'b', '', ' c', '-- d', '++ e', '@@ f'), { maxLength: 30 })
      .map((lines) => lines.map((line) => `${line}\n`).join(''));
    fc.assert(
      fc.property(text, text, fc.integer({ min: 0, max: 4 }), (before, after, context) => {
        const patch = createTwoFilesPatch('a/a.txt', 'b/a.txt', before, after, '', '', { context });
        expect(apply(patch, { 'a.txt': before })).toEqual({
          files: [{ path: 'a.txt', before, after }],
        });
      }),
    );
  });
});
