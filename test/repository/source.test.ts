import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSource } from '../../repository/source.ts';
import type { LeftOut, Source } from '../../repository/source-file.ts';
import {
  collect,
  makeRepository,
  readTree,
  runGit,
  temporaryFolder,
  writeFiles,
} from './git-fixture.ts';

let root: string;
let remove: () => void;
let repository: string;
const at = (name: string) => path.join(root, name);
const open = (source: string): Promise<Source> => openSource(source, { cacheDir: at('cache') });

beforeEach(() => {
  ({ folder: root, remove } = temporaryFolder());
  repository = at('repository');
});
afterEach(() => remove());

describe('a git repository', () => {
  test('gives the files of a commit in the order of their bytes, with modes', async () => {
    mkdirSync(repository);
    writeFiles(repository, { 'b.txt': 'b', 'run.sh': '#!/bin/sh\n', 'a/é.txt': 'é', 'a-b': '' });
    chmodSync(path.join(repository, 'run.sh'), 0o755);
    symlinkSync('../b.txt', path.join(repository, 'a/link'));
    const commit = makeRepository(repository, {});

    const source = await open(repository);

    expect(source.kind).toBe('git');
    expect(await source.resolve('HEAD')).toBe(commit);
    const files = await collect(source.files(commit));
    expect(files.map((file) => [file.path, file.mode, file.bytes.toString()])).toEqual([
      ['a-b', '100644', ''],
      ['a/link', '120000', '../b.txt'],
      ['a/é.txt', '100644', 'é'],
      ['b.txt', '100644', 'b'],
      ['run.sh', '100755', '#!/bin/sh\n'],
    ]);
  });

  test('gives what is committed, not what is in the work tree, and sees new commits', async () => {
    makeRepository(repository, { 'a.txt': 'one' });
    writeFiles(repository, { 'a.txt': 'edited', 'new.txt': '' });
    expect(await readTree(await open(repository))).toEqual({ 'a.txt': 'one' });
    runGit(repository, ['commit', '--quiet', '--all', '--message=second']);
    const source = await open(repository);
    expect(await readTree(source)).toEqual({ 'a.txt': 'edited' });
    expect(await readTree(source, 'HEAD~1')).toEqual({ 'a.txt': 'one' });
  });

  test('knows commits by branch, tag, remote branch and short hash, packed or not', async () => {
    const commit = makeRepository(repository, { 'a.txt': 'one' });
    runGit(repository, ['tag', '--annotate', '--message=v', 'v1.0']);
    runGit(repository, ['pack-refs', '--all']);
    runGit(repository, ['branch', 'feature/x']);
    runGit(repository, ['update-ref', 'refs/remotes/origin/dev', commit]);
    const source = await open(repository);
    for (const name of ['main', 'v1.0', 'feature/x', 'origin/dev', commit.slice(0, 8)]) {
      expect(await source.resolve(name)).toBe(commit);
    }
  });

  test('works in a worktree, a submodule, a bare and a shallow clone, and a borrowing one', async () => {
    makeRepository(repository, { 'a.txt': 'one' });
    runGit(repository, ['commit', '--quiet', '--allow-empty', '--message=second']);
    runGit(repository, ['worktree', 'add', '--quiet', at('worktree')]);
    runGit(root, ['clone', '--quiet', '--bare', repository, at('bare')]);
    runGit(root, ['clone', '--quiet', '--depth=1', `file://${repository}`, at('shallow')]);
    runGit(root, ['clone', '--quiet', '--shared', repository, at('shared')]);
    makeRepository(at('parent'), { 'p.txt': '' });
    runGit(at('parent'), ['submodule', '--quiet', 'add', repository, 'sub']);
    for (const name of ['worktree', 'bare', 'shallow', 'shared', 'parent/sub']) {
      const source = await open(at(name));
      expect(source.kind).toBe('git');
      expect(await readTree(source)).toEqual({ 'a.txt': 'one' });
    }
    runGit(at('parent'), ['commit', '--quiet', '--message=sub']);
    const parent = await open(at('parent'));
    const leftOut: LeftOut[] = [];
    const commit = await parent.resolve('HEAD');
    const files = await collect(parent.files(commit, (it) => leftOut.push(it)));
    expect(files.map((file) => file.path)).toEqual(['.gitmodules', 'p.txt']);
    expect(leftOut).toEqual([
      { path: 'sub', reason: 'it is a submodule; its own repository can be a source' },
    ]);
  });

  test('follows a worktree that stands on another commit', async () => {
    makeRepository(repository, { 'a.txt': 'one' });
    runGit(repository, ['worktree', 'add', '--quiet', '-b', 'other', at('worktree')]);
    writeFiles(at('worktree'), { 'a.txt': 'two' });
    runGit(at('worktree'), ['commit', '--quiet', '--all', '--message=two']);
    expect(await readTree(await open(at('worktree')))).toEqual({ 'a.txt': 'two' });
    expect(await readTree(await open(repository))).toEqual({ 'a.txt': 'one' });
  });

  test('reads names that are no UTF-8, and leaves out names that no file system takes', async () => {
    makeRepository(repository, { 'a.txt': '' });
    const blob = runGit(repository, ['hash-object', '-w', '--stdin'], 'odd');
    const odd = Buffer.concat([Buffer.from(`100644 blob ${blob}\t`), Buffer.from([0x66, 0xff, 0])]);
    const long = Buffer.from(`100644 blob ${blob}\t${'x'.repeat(300)}\0`);
    const tree = runGit(repository, ['mktree', '-z'], Buffer.concat([odd, long]));
    const commit = runGit(repository, ['commit-tree', '-m', 'odd', tree]);
    const leftOut: LeftOut[] = [];
    const files = await collect((await open(repository)).files(commit, (it) => leftOut.push(it)));
    expect(files.map((file) => file.path)).toEqual(['f\udcff']);
    expect(leftOut.map(({ reason }) => reason)).toEqual(['a name in it has more than 255 bytes']);
  });

  test('leaves out a file of more than 64 MiB, and says so', async () => {
    makeRepository(repository, { 'big.bin': Buffer.alloc(64 * 1024 ** 2 + 1), 'small.txt': 's' });
    const source = await open(repository);
    const leftOut: LeftOut[] = [];
    const files = await collect(
      source.files(await source.resolve('HEAD'), (it) => leftOut.push(it)),
    );
    expect(files.map((file) => file.path)).toEqual(['small.txt']);
    expect(leftOut).toEqual([{ path: 'big.bin', reason: 'it is larger than 64 MiB' }]);
  });

  test('can be left in the middle, and goes no further when it is aborted', async () => {
    makeRepository(repository, { 'a.txt': 'a', 'b.txt': 'b' });
    const abort = new AbortController();
    const source = await openSource(repository, { cacheDir: at('cache'), signal: abort.signal });
    const commit = await source.resolve('HEAD');
    for await (const file of source.files(commit)) {
      expect(file.path).toBe('a.txt');
      break;
    }
    abort.abort(new Error('enough'));
    await expect(collect(source.files(commit))).rejects.toThrow('enough');
  });
});

describe('a folder without git', () => {
  test('gives its files without installed packages, and a hash that stands for them', async () => {
    writeFiles(repository, {
      'index.js': 'x',
      'lib/a.js': 'a',
      'lib.js': '',
      'node_modules/dep/index.js': 'dep',
      '.twinpatch/store/store.json': '{}',
      'lib/.git': 'gitdir: nowhere',
    });
    const source = await open(repository);
    const commit = await source.resolve('HEAD');
    expect(source.kind).toBe('folder');
    expect(commit).toMatch(/^tree:[0-9a-f]{64}$/);
    expect(await source.resolve(commit)).toBe(commit);
    expect(Object.keys(await readTree(source))).toEqual(['index.js', 'lib.js', 'lib/a.js']);
  });

  test('gives nothing that its ignore rules leave out, nor our own files and exports', async () => {
    writeFiles(repository, {
      '.gitignore': 'secret.env\n.venv/\n*.log\n!keep.log\n',
      'a.py': 'a',
      'keep.log': '',
      'lib/.gitignore': 'build\n',
      'lib/b.py': 'b',
      'lib/build/c.py': 'c',
      'lib/run.log': 'log',
      'lib/twinpatch.yaml': 'another tool',
      'out/batch/manifest.json': '{}',
      'out/batch/t1.SIMULATED.jsonl': '{}',
      'out/other/manifest.json': '{}',
      'secret.env': 'TOKEN=1',
      'twinpatch.yaml': 'name: a',
      '.venv/d.py': 'd',
    });
    expect(Object.keys(await readTree(await open(repository)))).toEqual([
      '.gitignore',
      'a.py',
      'keep.log',
      'lib/.gitignore',
      'lib/b.py',
      'lib/twinpatch.yaml',
      'out/other/manifest.json',
    ]);
  });

  test('is read as itself when it stands in node_modules', async () => {
    writeFiles(at('node_modules/dep'), { 'index.js': 'x' });
    expect(await readTree(await open(at('node_modules/dep')))).toEqual({ 'index.js': 'x' });
  });

  test('passes over pipes, and keeps links as text', async () => {
    writeFiles(repository, { 'a.txt': 'a' });
    execFileSync('mkfifo', [path.join(repository, 'pipe')]);
    symlinkSync('/etc/passwd', path.join(repository, 'link'));
    expect(await readTree(await open(repository))).toEqual({ 'a.txt': 'a', link: '/etc/passwd' });
  });

  test('has another hash after any change, and says when it changes under the reader', async () => {
    writeFiles(repository, { 'a.txt': 'a' });
    const source = await open(repository);
    const before = await source.resolve('HEAD');
    chmodSync(path.join(repository, 'a.txt'), 0o755);
    const after = await source.resolve('HEAD');
    expect(after).not.toBe(before);
    writeFileSync(path.join(repository, 'a.txt'), 'b');
    await expect(collect(source.files(after))).rejects.toMatchObject({ kind: 'changed' });
  });
});

describe('a mistake', () => {
  test('is named with the nearest branch or tag', async () => {
    makeRepository(repository, {});
    await expect((await open(repository)).resolve('mian')).rejects.toMatchObject({
      kind: 'unknown-commit',
      message: expect.stringContaining('Did you mean "main"?') as string,
    });
  });

  test.each(['v9.9.9-nothing-like-it', '', '--help', 'a\0b', 'HEAD:a.txt'])(
    'in the name %j is told with the way to list commits',
    async (name) => {
      makeRepository(repository, { 'a.txt': '' });
      await expect((await open(repository)).resolve(name)).rejects.toMatchObject({
        kind: 'unknown-commit',
        message: expect.stringContaining('git log --oneline --all') as string,
      });
    },
  );

  test('about history is explained in a shallow clone', async () => {
    makeRepository(repository, {});
    runGit(repository, ['commit', '--quiet', '--allow-empty', '--message=second']);
    runGit(root, ['clone', '--quiet', '--depth=1', `file://${repository}`, at('shallow')]);
    await expect((await open(at('shallow'))).resolve('HEAD~1')).rejects.toThrow(
      'git fetch --unshallow',
    );
  });

  test('a repository without commits says what to do', async () => {
    mkdirSync(repository);
    runGit(repository, ['init', '--quiet']);
    await expect((await open(repository)).resolve('HEAD')).rejects.toThrow('Commit first');
  });

  test('a partial clone that lacks contents says how to get them', async () => {
    makeRepository(repository, { 'a.txt': 'a' });
    runGit(repository, ['config', 'uploadpack.allowFilter', 'true']);
    const flags = ['clone', '--quiet', '--no-checkout', '--filter=blob:none'];
    runGit(root, [...flags, `file://${repository}`, at('partial')]);
    await expect(readTree(await open(at('partial')))).rejects.toMatchObject({
      kind: 'incomplete',
      message: expect.stringContaining('git fetch --refetch') as string,
    });
  });

  test.each([
    ['/no/such/folder', 'not-a-repository'],
    ['http://127.0.0.1:9/x.git', 'unreachable'],
    ['ext::sh -c touch% /tmp/x', 'unsafe'],
    ['ftp://127.0.0.1/x', 'unsafe'],
  ])('in the source %s is of its own kind', async (source, kind) => {
    await expect(open(source)).rejects.toMatchObject({ name: 'RepositoryError', kind });
  });

  test('says of ssh what it said, not what git says after each of its failures', async () => {
    const failure = open('git@localhost.invalid:a.git');
    await expect(failure).rejects.toThrow(/could not be fetched: .*ssh/);
    await expect(failure).rejects.not.toThrow('correct access rights');
  });

  test('shows no credentials of a URL', async () => {
    const failure = open('http://me:s3cret@127.0.0.1:9/x.git');
    await expect(failure).rejects.toThrow('http://***@127.0.0.1:9/x.git could not be fetched');
    await expect(failure).rejects.not.toThrow('s3cret');
  });
});
