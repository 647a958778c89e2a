import { describe, expect, test } from 'vitest';
import { fileKind, patchFacts } from '../../domain/patch-facts.ts';

const seed = { file: 'src/a.py', startLine: 10, endLine: 20 };

function toPatch(path: string, hunks: string, oldName = `a/${path}`): string {
  return `--- ${oldName}\n+++ b/${path}\n${hunks}`;
}

describe('fileKind', () => {
  test.each([
    ['src/http/headers.py', 'source'],
    ['src/contest.py', 'source'],
    ['latest/specimen.go', 'source'],
    ['tests/test_headers.py', 'tests'],
    ['pkg/headers_test.go', 'tests'],
    ['src/headers.spec.ts', 'tests'],
    ['docs/conf.py', 'docs'],
    ['README', 'docs'],
    ['pyproject.toml', 'config'],
    ['.github/workflows/ci.yml', 'config'],
    ['poetry.lock', 'lock'],
    ['web/package-lock.json', 'lock'],
    ['vendor/github.com/x/y_test.go', 'vendored'],
    ['api/v1_pb2.py', 'generated'],
    ['web/app.min.js', 'generated'],
  ])('%s is of kind %s', (path, kind) => {
    expect(fileKind({ path, binary: false })).toBe(kind);
  });
});

describe('patchFacts', () => {
  test('counts files by kind, lines and leftovers, and every file once', () => {
    const patch = [
      toPatch('src/a.py', '@@ -12 +12 @@\n-x\n+y\n'),
      toPatch('tests/test_a.py', '@@ -0,0 +1,2 @@\n+x\n+\n', '/dev/null'),
      toPatch('reproduce_issue.py', '@@ -0,0 +1 @@\n+x\n', '/dev/null'),
      toPatch('src/debug/handlers.py', '@@ -0,0 +1 @@\n+x\n', '/dev/null'),
      'diff --git a/x.png b/x.png\nBinary files a/x.png and b/x.png differ\n',
    ].join('');
    expect(patchFacts(patch, seed)).toEqual({
      files: 5,
      added: 5,
      removed: 1,
      kinds: {
        source: 3,
        tests: 1,
        binary: 1,
        lock: 0,
        vendored: 0,
        generated: 0,
        docs: 0,
        config: 0,
      },
      leftoverScripts: 1,
      whitespaceOnly: false,
      touchesTarget: true,
    });
  });

  test.each([
    ['a removed line inside', '@@ -20 +19,0 @@\n-x\n', true],
    ['a line added after the last', '@@ -20,0 +21 @@\n+x\n', true],
    ['a line added before the first', '@@ -9,0 +10 @@\n+x\n', false],
    ['only context inside', '@@ -20,4 +20,4 @@\n a\n b\n c\n-x\n+y\n', false],
  ])('with %s, touchesTarget is %s', (_what, hunk, expected) => {
    const end = hunk.startsWith('@@ -20,4') ? { ...seed, endLine: 21 } : seed;
    expect(patchFacts(toPatch('src/a.py', hunk), end).touchesTarget).toBe(expected);
    expect(patchFacts(toPatch('src/b.py', hunk), end).touchesTarget).toBe(false);
  });

  test('a function that moved with its renamed file is touched by its old place', () => {
    expect(
      patchFacts(toPatch('src/c.py', '@@ -12 +12 @@\n-x\n+y\n', 'a/src/a.py'), seed),
    ).toMatchObject({
      touchesTarget: true,
    });
  });

  test.each([
    ['indentation and blank lines', '@@ -1,2 +1,3 @@\n-a b\n-c\n+  ab\n+\n+c\n', true],
    ['a real change beside', '@@ -1,3 +1,3 @@\n-a\n+ a\n b\n-c\n+d\n', false],
    ['a moved line', '@@ -1,2 +1,2 @@\n-a\n b\n+a\n', false],
    ['a line moved between hunks', '@@ -1 +0,0 @@\n-a\n@@ -9,0 +9 @@\n+a\n', false],
  ])('with %s, whitespaceOnly is %s', (_what, hunks, expected) => {
    expect(patchFacts(toPatch('src/a.py', hunks), seed).whitespaceOnly).toBe(expected);
  });

  test('a patch without lines is not whitespace only', () => {
    expect(patchFacts('', seed)).toMatchObject({ files: 0, whitespaceOnly: false });
  });
});
