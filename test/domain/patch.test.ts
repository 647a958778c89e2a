import { describe, expect, test } from 'vitest';
import { readPatch } from '../../domain/patch.ts';

const hunk = '@@ -1 +1,2 @@\n-a\n+b\n+\n';

describe('readPatch', () => {
  test.each([
    [
      'modified',
      `diff --git a/x.py b/x.py\nindex 1..2 100644\n--- a/x.py\n+++ b/x.py\n${hunk}`,
      { path: 'x.py', oldPath: 'x.py', newPath: 'x.py', added: 2, removed: 1 },
    ],
    [
      'new',
      'diff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n',
      { path: 'x', oldPath: null, newPath: 'x' },
    ],
    [
      'new and empty',
      'diff --git a/x b/x\nnew file mode 100644\nindex 0..e69de29\n',
      { path: 'x', oldPath: null, added: 0 },
    ],
    [
      'deleted',
      'diff --git a/x b/x\ndeleted file mode 100644\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n',
      { path: 'x', oldPath: 'x', newPath: null, removed: 1 },
    ],
    [
      'renamed',
      'diff --git a/x y b/z y\nsimilarity index 100%\nrename from x y\nrename to z y\n',
      { path: 'z y', oldPath: 'x y', newPath: 'z y' },
    ],
    [
      'renamed to a quoted name',
      'diff --git a/x "b/\\303\\244\\t\\"\\\\.py"\nrename from x\nrename to "\\303\\244\\t\\"\\\\.py"\n',
      { path: 'ä\t"\\.py', oldPath: 'x' },
    ],
    [
      'binary',
      'diff --git a/x.png b/x.png\nindex 1..2\nBinary files a/x.png and b/x.png differ\n',
      { path: 'x.png', binary: true },
    ],
    [
      'a mode',
      'diff --git a/a b/c b/a b/c\nold mode 100644\nnew mode 100755\n',
      { path: 'a b/c', added: 0, removed: 0 },
    ],
    [
      'plain unified with time stamps',
      `--- x.py\t2020-01-01\n+++ x.py\t2020-01-02\n${hunk}`,
      { path: 'x.py', added: 2 },
    ],
    [
      'with CRLF ends',
      `diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n${hunk}`.replaceAll('\n', '\r\n'),
      { path: 'x.py', added: 2 },
    ],
  ])('T49: names and counts a file that is %s', (_what, patch, expected) => {
    expect(readPatch(patch)).toMatchObject([expected]);
  });

  test('T49: content that looks like a header of another file stays content', () => {
    const patch =
      '--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- a/y\n+++ b/y\n-@@ -1 +1 @@\n+diff --git a/z b/z\n';
    expect(readPatch(patch)).toMatchObject([{ path: 'x', added: 2, removed: 2 }]);
  });

  test('gives old line numbers, of an insertion the line it stands before', () => {
    const patch = '--- a/x\n+++ b/x\n@@ -5,2 +5,3 @@\n a\n-b\n+c\n+d\n@@ -9,0 +11 @@\n+e\n';
    const seen: [string, number][] = [];
    readPatch(patch, (start, end, oldLine) => seen.push([patch.slice(start, end), oldLine]));
    expect(seen).toEqual([
      [' a', 5],
      ['-b', 6],
      ['+c', 7],
      ['+d', 7],
      ['+e', 10],
    ]);
  });

  test('knows the path of a file already while its lines are read', () => {
    const paths: string[] = [];
    readPatch(`--- a/x\n+++ b/y\n${hunk}`, (_start, _end, _line, { file }) =>
      paths.push(file.path),
    );
    expect(new Set(paths)).toEqual(new Set(['y']));
  });
});
