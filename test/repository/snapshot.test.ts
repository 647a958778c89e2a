import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { decodePath } from '../../repository/paths.ts';
import { writeSnapshot } from '../../repository/snapshot.ts';
import type { SourceFile } from '../../repository/source-file.ts';
import { asFiles, collect, sourceFile, temporaryFolder } from './git-fixture.ts';

let root: string;
let remove: () => void;
beforeEach(() => {
  ({ folder: root, remove } = temporaryFolder());
});
afterEach(() => remove());

async function tarOf(files: SourceFile[]): Promise<Buffer> {
  return Buffer.concat((await collect(writeSnapshot(asFiles(files)))) as Buffer[]);
}

/** Unpacks with the machine's own tar. */
function unpack(archive: Buffer): string {
  const folder = path.join(root, 'tree');
  mkdirSync(folder);
  execFileSync('tar', ['-x', '--no-same-owner', '-C', folder], { input: archive });
  return folder;
}

const FILES = [
  sourceFile('a.txt', 'a'),
  sourceFile('bin/run', '#!/bin/sh\n', '100755'),
  sourceFile('bin/to', '../a.txt', '120000'),
  sourceFile('empty', ''),
];

test('the same files give the same bytes, another content or mode gives others', async () => {
  const hash = async (files: SourceFile[]) =>
    createHash('sha256')
      .update(await tarOf(files))
      .digest('hex');
  const first = await hash(FILES);
  // Pinned: a snapshot's hash is its name in every store that is out there.
  expect(first).toMatchInlineSnapshot(
    `"f7622635a938c52c7a588c97543f4ba4ca3fe120d3eb40ef4c94bc7b51eb0b19"`,
  );
  expect(await hash(FILES)).toBe(first);
  expect(await hash([sourceFile('a.txt', 'b'), ...FILES.slice(1)])).not.toBe(first);
  expect(await hash([sourceFile('a.txt', 'a', '100755'), ...FILES.slice(1)])).not.toBe(first);
});

test('everything belongs to the agent, has no time, and its plain mode', async () => {
  const archive = await tarOf(FILES);
  const flags = ['-t', '-v', '--numeric-owner', '--utc', '--full-time'];
  const listing = execFileSync('tar', flags, {
    input: archive,
    env: { ...process.env, LC_ALL: 'C' },
  });
  expect(
    listing
      .toString()
      .trim()
      .split('\n')
      .map((line) => line.replace(/ +/g, ' ')),
  ).toEqual([
    '-rw-r--r-- 1000/1000 1 1970-01-01 00:00:00 a.txt',
    'drwxr-xr-x 1000/1000 0 1970-01-01 00:00:00 bin/',
    '-rwxr-xr-x 1000/1000 10 1970-01-01 00:00:00 bin/run',
    'lrwxrwxrwx 1000/1000 0 1970-01-01 00:00:00 bin/to -> ../a.txt',
    '-rw-r--r-- 1000/1000 0 1970-01-01 00:00:00 empty',
  ]);
});

test.each([
  ['short', Buffer.from('x')],
  ['of 99 bytes', Buffer.from('x'.repeat(99))],
  ['of 100 bytes', Buffer.from('x'.repeat(100))],
  ['of 255 bytes', Buffer.from('y'.repeat(255))],
  ['of UTF-8', Buffer.from('größe-日本語-🦊')],
  ['with a new line and a quote', Buffer.from('a\nb"c\\d')],
  ['that is no UTF-8', Buffer.from([0x66, 0xff, 0xc3, 0x28, 0x80])],
  ['with an equals sign', Buffer.from('path=é')],
])('a name %s comes out as it went in, as file and as target of a link', async (_title, name) => {
  const file = sourceFile(decodePath(name), 'content');
  const link = sourceFile('~link', name, '120000');
  const folder = unpack(await tarOf([file, link]));
  expect(readdirSync(folder, { encoding: 'buffer' })).toContainEqual(name);
  expect(readFileSync(Buffer.concat([Buffer.from(`${folder}/`), name]), 'utf8')).toBe('content');
  expect(readlinkSync(path.join(folder, '~link'), { encoding: 'buffer' })).toEqual(name);
});

test('a long path keeps its folders', async () => {
  const long = `${'folder-with-a-name/'.repeat(20)}file.txt`;
  const folder = unpack(await tarOf([sourceFile(long, 'deep')]));
  expect(readFileSync(path.join(folder, long), 'utf8')).toBe('deep');
  expect(lstatSync(path.join(folder, path.dirname(long))).mode & 0o777).toBe(0o755);
});

test('a failure of the source ends the archive with it', async () => {
  async function* broken(): AsyncGenerator<SourceFile> {
    await Promise.resolve();
    yield sourceFile('a.txt', 'a');
    throw new Error('the source broke');
  }
  await expect(collect(writeSnapshot(broken()))).rejects.toThrow('the source broke');
});
