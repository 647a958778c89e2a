import { expect, test } from 'vitest';
import { guardSecrets, type SecretPolicy } from '../../repository/secret-guard.ts';
import type { Source, SourceFile } from '../../repository/source-file.ts';
import { asFiles, collect, sourceFile } from './git-fixture.ts';

const TOKEN = ['ghp_', 'a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8'].join('');
const BINARY = Buffer.concat([Buffer.of(0, 255, 128), Buffer.from(TOKEN), Buffer.of(0xe9)]);

const FILES: SourceFile[] = [
  sourceFile('.env', 'A=1\n'),
  sourceFile('a.py', `def f():\n    return "${TOKEN}"\n`),
  sourceFile('b.bin', BINARY),
  sourceFile('link', TOKEN, '120000'),
  sourceFile('plain.py', 'def g():\n    return 1\n'),
];

async function guard(policy?: SecretPolicy) {
  const source: Source = {
    kind: 'folder',
    label: 'x',
    resolve: async () => 'c',
    files: () => asFiles(FILES),
  };
  const told: string[] = [];
  const guarded = guardSecrets(source, policy, (path, what) => told.push(`${path}: ${what}`));
  const leftOut: string[] = [];
  const files = await collect(
    guarded.files('c', ({ path, reason }) => leftOut.push(`${path}: ${reason}`)),
  );
  return { files, told, leftOut, paths: files.map(({ path }) => path) };
}

test('T43: by itself a secret is masked in its place, and a file of keys is left out', async () => {
  const { files, told, leftOut, paths } = await guard();
  expect(paths).toEqual(['a.py', 'b.bin', 'link', 'plain.py']);
  expect(files[0]?.bytes.toString()).toBe(`def f():\n    return "${'x'.repeat(TOKEN.length)}"\n`);
  // Bytes that are no text stay as they are around it.
  expect(files[1]?.bytes).toEqual(
    Buffer.concat([Buffer.of(0, 255, 128), Buffer.alloc(TOKEN.length, 'x'), Buffer.of(0xe9)]),
  );
  expect(files[3]?.bytes).toBe(FILES[4]?.bytes);
  expect(told).toEqual(['a.py: github-token, masked', 'b.bin: github-token, masked']);
  expect(leftOut).toEqual(['.env: it is a file of keys']);
});

test('T43: or the file is left out, or all is taken and told', async () => {
  const denied = await guard('deny');
  expect(denied.paths).toEqual(['link', 'plain.py']);
  expect(denied.leftOut).toContain('a.py: it holds a secret: github-token');
  const reported = await guard('report');
  expect(reported.files).toEqual(FILES);
  expect(reported.told).toEqual([
    '.env: it is a file of keys, and is taken as it is',
    'a.py: github-token, taken as it is',
    'b.bin: github-token, taken as it is',
  ]);
});
