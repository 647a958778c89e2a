/**
 * A repository made to run code when a tool looks at it (T37). Each payload writes a marker file; that
 * it would is shown by plain git, where plain git falls for it.
 */

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSource } from '../../repository/source.ts';
import { makeRepository, readTree, runGit, temporaryFolder, writeFiles } from './git-fixture.ts';

let root: string;
let remove: () => void;
let repository: string;
let marker: string;
let payload: string;
const at = (name: string) => path.join(root, name);

beforeEach(() => {
  ({ folder: root, remove } = temporaryFolder());
  repository = at('repository');
  marker = at('marker');
  payload = at('payload.sh');
  writeFileSync(payload, `#!/bin/sh\ntouch '${marker}'\nexit 1\n`);
  chmodSync(payload, 0o755);
  makeRepository(repository, { 'a.txt': 'one', '.gitattributes': '*.txt filter=evil diff=evil\n' });
});
afterEach(() => remove());

const config = (...settings: [string, string][]) => {
  for (const [name, value] of settings) runGit(repository, ['config', '--local', name, value]);
};

/** What a repository carries, and the plain command that falls for it (none: no version of git we have does). */
const VECTORS: { title: string; plant: () => void; falls?: string[] }[] = [
  {
    title: 'a file system monitor',
    plant: () => config(['core.fsmonitor', payload]),
    falls: ['status'],
  },
  {
    title: 'hooks, in their folder and in another one',
    plant: () => {
      for (const hook of ['post-checkout', 'post-index-change', 'reference-transaction']) {
        writeFiles(repository, { [`.git/hooks/${hook}`]: `#!/bin/sh\ntouch '${marker}'\n` });
        chmodSync(path.join(repository, '.git/hooks', hook), 0o755);
      }
    },
    falls: ['checkout', '-B', 'again'],
  },
  {
    title: 'filters and drivers for its files',
    plant: () => {
      config(['filter.evil.clean', payload], ['filter.evil.smudge', payload]);
      config(['filter.evil.process', payload], ['diff.evil.textconv', payload]);
      config(['diff.external', payload], ['filter.evil.required', 'true']);
      writeFiles(repository, { 'a.txt': 'two' });
    },
    falls: ['diff'],
  },
  {
    title: 'settings in an included file',
    plant: () => {
      writeFileSync(at('included'), `[core]\n\tfsmonitor = ${payload}\n`);
      config(['include.path', at('included')]);
    },
    falls: ['status'],
  },
  {
    title: 'commands for fetches, pushes, pagers, signatures and passwords',
    plant: () => {
      config(['core.sshCommand', payload], ['core.pager', payload], ['core.askPass', payload]);
      config(['gpg.program', payload], ['credential.helper', payload], ['core.editor', payload]);
      config(['uploadpack.packObjectsHook', payload], ['core.alternateRefsCommand', payload]);
      config(['remote.origin.url', 'ssh://example.invalid/x']);
    },
    falls: ['fetch', 'origin'],
  },
  {
    title: 'missing objects that a promised remote would bring by a command',
    plant: () => {
      const blob = runGit(repository, ['rev-parse', 'HEAD:a.txt']);
      rmSync(path.join(repository, '.git/objects', blob.slice(0, 2), blob.slice(2)));
      config(['core.repositoryFormatVersion', '1'], ['extensions.partialClone', 'origin']);
      config(['remote.origin.promisor', 'true'], ['remote.origin.url', root]);
      config(['remote.origin.uploadpack', payload]);
    },
    falls: ['cat-file', '-p', 'HEAD:a.txt'],
  },
];

describe('nothing of the repository is executed:', () => {
  test.each(VECTORS)('$title', async ({ plant, falls }) => {
    plant();
    const look = async () => {
      const source = await openSource(repository, { cacheDir: at('cache') });
      // Whether the tree can be read is not the question here: the last one lacks a file.
      await readTree(source).catch(() => undefined);
    };
    await look();
    expect(existsSync(marker)).toBe(false);
    const link = at('link');
    writeFiles(link, { '.git': `gitdir: ${repository}/.git` });
    const redirected = await openSource(link, { cacheDir: at('cache') });
    await readTree(redirected).catch(() => undefined);
    await openSource(`file://${repository}`, { cacheDir: at('cache') });
    expect(existsSync(marker)).toBe(false);

    if (falls === undefined) return;
    try {
      runGit(repository, falls);
    } catch {
      // Plain git may end badly once the payload has run.
    }
    expect(existsSync(marker), 'the payload works, with plain git').toBe(true);
  });

  test('variables of our own environment do not send git elsewhere', async () => {
    makeRepository(at('other'), { 'other.txt': '' });
    const variables = {
      GIT_DIR: at('other/.git'),
      GIT_OBJECT_DIRECTORY: at('other/.git/objects'),
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'core.fsmonitor',
      GIT_CONFIG_VALUE_0: payload,
      GIT_EXTERNAL_DIFF: payload,
    };
    const before = { ...process.env };
    Object.assign(process.env, variables);
    try {
      const source = await openSource(repository, { cacheDir: at('cache') });
      expect(Object.keys(await readTree(source))).toEqual(['.gitattributes', 'a.txt']);
    } finally {
      process.env = before;
    }
    expect(existsSync(marker)).toBe(false);
  });

  test('the repository itself is left as it was', async () => {
    const listing = () =>
      execFileSync('find', [repository, '-printf', '%p %s %T@\\n']).toString().split('\n').sort();
    const before = listing();
    const source = await openSource(repository, { cacheDir: at('cache') });
    await readTree(source);
    expect(listing()).toEqual(before);
  });
});

describe('a tree that no checkout makes is refused:', () => {
  const entry = (mode: string, name: string, hash: string) =>
    Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(hash, 'hex')]);
  const tree = (...entries: Buffer[]) =>
    runGit(
      repository,
      ['hash-object', '-t', 'tree', '-w', '--stdin', '--literally'],
      Buffer.concat(entries),
    );
  const blob = () => runGit(repository, ['hash-object', '-w', '--stdin'], '/etc');

  test.each([
    ['a way out', () => tree(entry('40000', '..', tree(entry('100644', 'passwd', blob()))))],
    ["git's own folder", () => tree(entry('40000', '.GIT', tree(entry('100644', 'x', blob()))))],
    ['a name with a slash', () => tree(entry('100644', '../x', blob()))],
    ['an absolute name', () => tree(entry('100644', '/etc/x', blob()))],
    ['a doubled name', () => tree(entry('100644', 'a', blob()), entry('100644', 'a', blob()))],
    [
      'a link that is a folder too',
      () =>
        tree(
          entry('120000', 'a', blob()),
          entry('40000', 'a', tree(entry('100644', 'passwd', blob()))),
        ),
    ],
  ])('%s', async (_title, make) => {
    const commit = runGit(repository, ['commit-tree', '-m', 'evil', make()]);
    const source = await openSource(repository, { cacheDir: at('cache') });
    await expect(readTree(source, commit)).rejects.toMatchObject({ kind: 'unsafe' });
  });

  test('a small tree of a thousand million files ends soon', async () => {
    let level = tree(entry('100644', 'x', blob()));
    for (let depth = 0; depth < 9; depth++) {
      level = tree(...[...'abcdefghij'].map((name) => entry('40000', name, level)));
    }
    const commit = runGit(repository, ['commit-tree', '-m', 'bomb', level]);
    const source = await openSource(repository, { cacheDir: at('cache') });
    await expect(readTree(source, commit)).rejects.toMatchObject({ kind: 'too-large' });
  });
});

test('branches that lead out of the repository, or hold no hash, are passed over', async () => {
  writeFiles(repository, {
    '.git/refs/heads/out': 'ref: ../../../../etc/passwd\n',
    '.git/refs/heads/junk': 'x'.repeat(100),
    '.git/refs/heads/new': 'ref: refs/heads/main\n',
  });
  execFileSync('mkfifo', [path.join(repository, '.git/refs/heads/pipe')]);
  const source = await openSource(repository, { cacheDir: at('cache') });
  expect(await source.resolve('new')).toBe(await source.resolve('main'));
  for (const name of ['out', 'junk', 'pipe']) {
    await expect(source.resolve(name)).rejects.toMatchObject({ kind: 'unknown-commit' });
  }
});
