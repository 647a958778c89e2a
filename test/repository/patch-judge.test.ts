import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { createPatchJudge } from '../../repository/patch-judge.ts';
import { writeSnapshot } from '../../repository/snapshot.ts';
import { createSnapshotFiles } from '../../repository/snapshot-files.ts';
import type { SourceFile } from '../../repository/source-file.ts';
import { asFiles, sourceFile } from './git-fixture.ts';

const SNAPSHOT = `sha256:${'a'.repeat(64)}` as const;
const OTHER = `sha256:${'b'.repeat(64)}` as const;
const LONG = `${'long/'.repeat(40)}a.py`;

function judge(files: SourceFile[], keptBytes?: number) {
  const opened: string[] = [];
  const snapshots = createSnapshotFiles(async (snapshot) => {
    opened.push(snapshot);
    return Readable.from(writeSnapshot(asFiles(files)));
  }, keptBytes);
  return { judgePatch: createPatchJudge(snapshots), snapshots, opened };
}

const FILES = [
  sourceFile('a.py', 'def f(x):\n    return x\n'),
  sourceFile('broken.py', 'def f(x:\n'),
  sourceFile('link', 'a.py', '120000'),
  sourceFile('notes.txt', 'one\n'),
  sourceFile(LONG, 'x = 1\n'),
];
const change = (path: string, from: string, to: string, line = 1) =>
  `--- a/${path}\n+++ b/${path}\n@@ -${line} +${line} @@\n-${from}\n+${to}\n`;

test.each([
  ['fits and parses', change('a.py', '    return x', '    return x + 1', 2), true, true, []],
  ['breaks a file', change('a.py', '    return x', '    return (x', 2), true, false, ['a.py']],
  [
    'was made from another tree',
    change('a.py', '    return y', '    return x', 2),
    false,
    null,
    [],
  ],
  ['is of no known language', change('notes.txt', 'one', 'two'), true, null, []],
  ['is of a file that had errors', change('broken.py', 'def f(x:', 'def g(x:'), true, null, []],
  ['mends a file', change('broken.py', 'def f(x:', 'f = 1'), true, true, []],
  ['turns a link', change('link', 'a.py', 'notes.txt'), true, null, []],
  ['is of a long path', change(LONG, 'x = 1', 'x = 2'), true, true, []],
  [
    'makes a file',
    `--- /dev/null\n+++ b/new.go\n@@ -0,0 +1 @@\n+func (\n`,
    true,
    false,
    ['new.go'],
  ],
])('a patch that %s', async (_what, patch, applies, parses, unparsable) => {
  for (const keptBytes of [1024, 0]) {
    const { judgePatch } = judge(FILES, keptBytes);
    expect(await judgePatch(SNAPSHOT, patch)).toEqual({ applies, parses, unparsable });
  }
});

test('a small snapshot is read once, the one used longest ago goes first, a large one is read each time', async () => {
  const paths = ['a.py'];
  const { snapshots, opened } = judge(FILES, 60);
  await Promise.all([snapshots.read(SNAPSHOT, paths), snapshots.read(SNAPSHOT, paths)]);
  expect(opened).toEqual([SNAPSHOT]);
  await snapshots.read(OTHER, paths);
  await snapshots.read(OTHER, paths);
  expect(opened).toEqual([SNAPSHOT, OTHER]);
  await snapshots.read(SNAPSHOT, paths);
  expect(opened).toEqual([SNAPSHOT, OTHER, SNAPSHOT]);
  const large = judge(FILES, 10);
  await large.snapshots.read(SNAPSHOT, paths);
  const again = await large.snapshots.read(SNAPSHOT, paths);
  expect(again.get('a.py')?.toString()).toContain('def f');
  expect(large.opened.length).toBeGreaterThan(1);
});

test('a snapshot that can not be read fails, and is read again later', async () => {
  let isThere = false;
  const snapshots = createSnapshotFiles(async () => {
    if (!isThere) throw new Error('no such blob');
    return Readable.from(writeSnapshot(asFiles(FILES)));
  });
  await expect(snapshots.read(SNAPSHOT, ['a.py'])).rejects.toThrow('no such blob');
  isThere = true;
  expect((await snapshots.read(SNAPSHOT, ['a.py'])).size).toBe(1);
});
