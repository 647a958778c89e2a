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
      deletedTests: 0,
      rewritten: 0,
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

const one = '@@ -3 +3 @@\n-x\n+y\n';
const added = (path: string, count = 1) =>
  toPatch(path, `@@ -0,0 +1,${count} @@\n${'+x\n'.repeat(count)}`, '/dev/null');
const deleted = (path: string) =>
  `diff --git a/${path} b/${path}\ndeleted file mode 100644\n--- a/${path}\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-x\n-y\n`;
/** One hunk from the first line on: so many lines replaced, and then so many kept. */
const replaced = (count: number, kept: number, from = 1) =>
  `@@ -${from},${count + kept} +${from},${count + kept} @@\n${'-x\n'.repeat(count)}${'+y\n'.repeat(count)}${' z\n'.repeat(kept)}`;

describe('T48: what makes a patch worth less is told', () => {
  test.each([
    ['an empty patch', '', { files: 0, added: 0, removed: 0 }],
    ['indentation', toPatch('a.py', '@@ -1 +1 @@\n-x\n+  x\n'), { whitespaceOnly: true }],
    ['a blank line', toPatch('a.py', '@@ -1,0 +2 @@\n+\n'), { whitespaceOnly: true }],
    ['line ends', toPatch('a.py', '@@ -1 +1 @@\n-x\n+x\r\n'), { whitespaceOnly: true }],
    ['a change of meaning', toPatch('a.py', one), { whitespaceOnly: false }],
    ['a test changed', toPatch('tests/test_a.py', one), { files: 1, kinds: { tests: 1 } }],
    ['a Go test', toPatch('a_test.go', one), { kinds: { tests: 1, source: 0 } }],
    ['a TypeScript test', toPatch('src/a.spec.ts', one), { kinds: { tests: 1, source: 0 } }],
    ['a snapshot of a test', toPatch('a/__snapshots__/a.snap', one), { kinds: { tests: 1 } }],
    ['a test made', added('test/a.py'), { kinds: { tests: 1 }, deletedTests: 0 }],
    ['a test deleted', deleted('tests/test_a.py'), { deletedTests: 1, kinds: { tests: 1 } }],
    ['a source deleted', deleted('src/a.py'), { deletedTests: 0, kinds: { source: 1 } }],
    ['a lock file of npm', toPatch('package-lock.json', one), { kinds: { lock: 1 } }],
    ['a lock file of poetry', toPatch('poetry.lock', one), { kinds: { lock: 1 } }],
    ['sums of Go', toPatch('go.sum', one), { kinds: { lock: 1 } }],
    ['a vendored file', toPatch('vendor/x/a.go', one), { kinds: { vendored: 1, source: 0 } }],
    ['an installed package', toPatch('node_modules/x/a.js', one), { kinds: { vendored: 1 } }],
    ['a minified file', toPatch('web/a.min.js', one), { kinds: { generated: 1, source: 0 } }],
    ['a generated parser', toPatch('api/a_pb2.py', one), { kinds: { generated: 1 } }],
    ['a build result', toPatch('dist/a.js', one), { kinds: { generated: 1, source: 0 } }],
    ['compiled code', added('src/__pycache__/a.pyc'), { kinds: { generated: 1 } }],
    ['a whole file rewritten', toPatch('a.py', replaced(20, 0)), { rewritten: 1 }],
    ['all but a last line rewritten', toPatch('a.py', replaced(20, 1)), { rewritten: 1 }],
    ['half a file rewritten', toPatch('a.py', replaced(10, 2) + one), { rewritten: 0 }],
    ['the head of a longer file', toPatch('a.py', replaced(20, 3)), { rewritten: 0 }],
    ['the end of a file', toPatch('a.py', replaced(20, 0, 50)), { rewritten: 0 }],
    ['a short file', toPatch('a.py', replaced(2, 0)), { rewritten: 0 }],
    ['a new file', added('src/a.py', 20), { rewritten: 0, leftoverScripts: 0 }],
    ['a reproduction script', added('src/repro_1.py'), { leftoverScripts: 1 }],
    ['a script at the top', added('try.py'), { leftoverScripts: 1 }],
    ['documentation', toPatch('README.md', one), { kinds: { docs: 1, source: 0 } }],
    ['a binary file', 'diff --git a/x b/x\nGIT binary patch\n', { kinds: { binary: 1 } }],
  ])('%s', (_what, patch, expected) => {
    expect(patchFacts(patch, seed)).toMatchObject(expected);
  });
});
