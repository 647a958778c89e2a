import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, it } from 'vitest';

import {
  type ExtractCaps,
  type ExtractedPatch,
  type PatchSource,
  SandboxLost,
  type Sandbox,
} from '../../domain/ports.ts';
import { connectEngine } from '../../sandbox/engine.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { INITIAL_SHELL } from '../../sandbox/shell.ts';
import { LIMITS, prepareTree, uniqueName } from '../support/sandbox-fixture.ts';

const TREE = {
  'a.py': 'one = 1\ntwo = 2\n',
  'b.txt': 'b\n',
  'crlf.txt': 'a\r\nb\r\n',
  'no-eol.txt': 'no newline',
  'dir/one': '1\n',
  'dir/two': '2\n',
  file: 'a file\n',
  link: { link: 'a.py' },
  'link-dir': { link: 'dir' },
  'run.sh': { content: '#!/bin/sh\n', mode: 0o755 },
  'latin1.txt': Buffer.from([0xe9, 0x0a, 0x62, 0x0a]),
  '.gitignore': '*.log\nbuild/\n',
  'tracked.log': 'ignored by name, but in the snapshot\n',
  '.gitattributes': '*.gen -diff\n*.txt text=auto eol=lf\n',
};
const CAPS: ExtractCaps = {
  maxBytes: 4 * 1024 ** 2,
  maxEntries: 200,
  maxDepth: 20,
  timeoutMs: 60_000,
};
/** Runs wherever one of git's own mechanisms starts it, and leaves a trace there. */
const MARKER = `/tmp/${uniqueName('pwned')}`;
const PAYLOAD = `printf '#!/bin/sh\\ntouch /testbed/pwned ${MARKER}\\ncat\\n' >/home/agent/payload; chmod 755 /home/agent/payload; cp /home/agent/payload /testbed/payload.sh`;

const installation = uniqueName('extract');
const engine = await connectEngine();
const imageId = await prepareTree(engine, installation, TREE);
const sandboxes = createSandboxes({ engine, installation });
let started = 0;

afterAll(async () => {
  await sandboxes.close();
  await sandboxes.removeAll();
  await sandboxes.removeImages((await sandboxes.listImages()).map(({ id }) => id));
  await sandboxes.removeVolumes();
});

async function after<T>(
  command: string,
  work: (sandbox: Sandbox & PatchSource) => Promise<T>,
): Promise<T> {
  const labels = { batch: 'b', sample: 's', rollout: `b/s/rollout-1.${++started}` };
  const sandbox = await sandboxes.start(
    { imageId, limits: LIMITS, epoch: 1, labels },
    new AbortController().signal,
  );
  try {
    const result = await sandbox.run({
      id: 'change',
      command,
      shell: INITIAL_SHELL,
      timeoutMs: 60_000,
      maxOutputBytes: 10_000,
    });
    expect({ command, ...result }).toMatchObject({ end: 'exited', exitCode: 0 });
    return await work(sandbox);
  } finally {
    await sandbox.close();
  }
}

function patchOf(command: string, caps: Partial<ExtractCaps> = {}): Promise<ExtractedPatch> {
  return after(command, (sandbox) => sandbox.extractPatch({ ...CAPS, ...caps }));
}

async function textOf(command: string): Promise<string> {
  const patch = await patchOf(command);
  return patch.kind === 'patch' ? patch.text : patch.kind;
}

const CHANGE = `sed -i 's/one = 1/one = 100/' a.py`;
const SEEN = '-one = 1\n+one = 100\n two = 2\n';

describe('what a sandbox tells git to run is never run, and its change is seen:', () => {
  it.each([
    ['T29: core.fsmonitor', 'git config core.fsmonitor /home/agent/payload'],
    [
      'T30: a hook',
      'cp /home/agent/payload .git/hooks/post-index-change; cp /home/agent/payload .git/hooks/pre-commit',
    ],
    [
      'T30: core.hooksPath',
      'mkdir /home/agent/hooks; cp /home/agent/payload /home/agent/hooks/post-index-change; git config core.hooksPath /home/agent/hooks',
    ],
    ['T31: diff.external', 'git config diff.external /testbed/payload.sh'],
    [
      'T31: a textconv',
      'git config diff.evil.textconv /testbed/payload.sh; echo "* diff=evil" >.gitattributes',
    ],
    [
      'T31: a diff driver',
      'git config diff.evil.command /testbed/payload.sh; echo "* diff=evil" >.gitattributes',
    ],
    [
      'T33: include.path',
      'printf "[core]\\n\\tfsmonitor = /testbed/payload.sh\\n" >evil.cfg; git config include.path ../evil.cfg',
    ],
    [
      'T34: the fsmonitor of an embedded repository',
      'git init -q nested; git -C nested config core.fsmonitor /testbed/payload.sh; echo in >nested/file.txt',
    ],
    [
      'T33: a .git file that leads elsewhere',
      'mv .git /home/agent/other; echo "gitdir: /home/agent/other" >.git; git config core.worktree /testbed; git config core.fsmonitor /testbed/payload.sh',
    ],
    [
      'T30: gpg.program',
      'git config gpg.program /testbed/payload.sh; git config commit.gpgsign true',
    ],
    [
      'T33: core.sshCommand',
      'git config core.sshCommand /testbed/payload.sh; git remote add origin ssh://host/x',
    ],
    [
      'T32: filter.clean',
      'git config filter.evil.clean /testbed/payload.sh; git config filter.evil.smudge /testbed/payload.sh; echo "* filter=evil" >.gitattributes',
    ],
    [
      'T32: filter.process',
      'git config filter.evil.process /testbed/payload.sh; git config filter.evil.required true; echo "* filter=evil" >.gitattributes',
    ],
    [
      'T31: core.pager',
      'git config core.pager /testbed/payload.sh; git config pager.diff /testbed/payload.sh',
    ],
    [
      'T33: an alias',
      'git config alias.diff "!/testbed/payload.sh"; git config alias.fast-import "!/testbed/payload.sh"',
    ],
  ])('%s', async (_vector, command) => {
    await after(`${PAYLOAD}; ${CHANGE}; ${command}`, async (sandbox) => {
      const first = await sandbox.extractPatch(CAPS);
      expect(first.kind === 'patch' && first.text).toContain(SEEN);
      for (const path of ['/testbed/pwned', MARKER]) {
        await expect(
          engine.docker.getContainer(sandbox.ref.container).infoArchive({ path }),
        ).rejects.toMatchObject({ statusCode: 404 });
      }
      expect(JSON.stringify(first)).not.toContain('b/pwned');
      expect(existsSync(MARKER)).toBe(false);
    });
  });
});

describe('what a sandbox does to hide a change does not hide it:', () => {
  it.each([
    ['assume-unchanged', `git update-index --assume-unchanged a.py; ${CHANGE}`],
    ['skip-worktree', `git update-index --skip-worktree a.py; ${CHANGE}`],
    ['a commit of its own', `${CHANGE}; git commit -qam done`],
    ['an amended first commit', `${CHANGE}; git commit -qa --amend -m done`],
    ['refs/replace', `${CHANGE}; git commit -qam done; git replace HEAD~ HEAD`],
    ['no .git at all', `${CHANGE}; rm -rf .git`],
    [
      'the old time and size',
      `sed -i 's/one = 1/one = 2/' a.py; touch -d @946684800 a.py; sed -i 's/one = 2/one = 100/' a.py; touch -d @946684800 a.py`,
    ],
    [
      'T45: a git that lies',
      `${CHANGE}; mkdir -p /home/agent/bin; printf '#!/bin/sh\\nexit 0\\n' >/home/agent/bin/git; chmod +x /home/agent/bin/git`,
    ],
    [
      'T45: tools of the same names, and startup files of its own',
      `${CHANGE}; for tool in git bash sh cat cp mkdir; do printf '#!/bin/sh\nexit 0\n' >$tool; chmod +x $tool; done; echo 'exit 0' | tee /home/agent/.bashrc >/home/agent/.profile; export BASH_ENV=/home/agent/.bashrc PATH=/testbed LD_PRELOAD=/testbed/git`,
    ],
    [
      'attributes',
      `${CHANGE}; echo '* -diff -text' >.gitattributes; echo '* binary' >.git/info/attributes`,
    ],
  ])('%s', async (_trick, command) => {
    expect(await textOf(command)).toContain(SEEN);
  });

  it.each([
    ['info/exclude', 'echo "*" >.git/info/exclude; echo new >new.py'],
    ['a rule in .gitignore', 'echo "*" >.gitignore; echo new >new.py'],
    ['a rule in a folder of its own', 'mkdir pkg; echo "*" >pkg/.gitignore; echo new >pkg/new.py'],
    [
      'T34, T49: a nested repository',
      'mkdir sub; echo new >sub/new.py; git init -q sub; git -C sub add -A; git -C sub -c user.name=a -c user.email=a@b commit -qm x',
    ],
    ['the -diff attribute of the snapshot', 'echo new >new.gen'],
  ])('%s, for a new file', async (_trick, command) => {
    const text = await textOf(command);
    expect(text).toContain('@@ -0,0 +1 @@\n+new\n');
    expect(text).not.toMatch(/\.git\/(config|HEAD)/);
  });

  it('T46: a process that goes on writing after the end', async () => {
    await after(
      `setsid bash -c 'while :; do echo $RANDOM >flip.txt; done' >/dev/null 2>&1 & ${CHANGE}`,
      async (sandbox) => {
        const first = await sandbox.extractPatch(CAPS);
        expect(first.kind === 'patch' && first.text).toContain(SEEN);
        expect(await sandbox.extractPatch(CAPS)).toEqual(first);
      },
    );
  });
});

describe('a patch', () => {
  it('leaves out what the snapshot ignores, whatever the rules say now, but not what it tracks', async () => {
    const text = await textOf(
      'echo "" >.gitignore; mkdir -p build/x; echo x >build/x/y; echo x >new.log; echo more >>tracked.log',
    );
    expect(text).toMatch(/^diff --git a\/\.gitignore b\/\.gitignore$/m);
    expect(text).toContain('+more\n');
    expect(text).not.toMatch(/^diff .*(build|new\.log)/m);
  });

  it('is empty where nothing counts', async () => {
    expect(await patchOf('true')).toEqual({ kind: 'empty' });
    expect(
      await patchOf(
        'touch a.py; echo x >x.log; mkdir empty; mkfifo pipe; git commit -q --allow-empty -m x; echo y >/tmp/elsewhere',
      ),
    ).toEqual({ kind: 'empty' });
  });

  it('T49: rebuilds the tree when it is applied to the snapshot, whatever was done to it', async () => {
    const change = [
      `${CHANGE}; rm b.txt`,
      `printf 'c\\r\\n' >>crlf.txt; printf 'x' >>no-eol.txt; printf 'new, no newline' >n.txt`,
      'rm -r dir; echo now a file >dir',
      'rm file; mkdir -p file/deep; echo below >file/deep/er',
      'ln -sf /etc/passwd link; rm link-dir; mkdir link-dir; echo in >link-dir/in',
      'chmod -x run.sh; chmod +x a.py; ln a.py hard.py; ln -s nowhere dangling',
      `printf '\\0\\1\\2' >bin; printf '\\xe8\\n' >>latin1.txt; : >empty`,
      `echo q >$'new\\nline \\e "q"\\t\\\\.txt'; echo s >' lead and trail '; echo u >ü.txt; echo l >$'latin\\xe9.txt'; mkdir $'d\\xe9'; echo l >$'d\\xe9/x'`,
      'mkfifo pipe; mkdir -p emptied; git add -A; git commit -qm x; git write-tree',
    ];
    await after(change.join('\n'), async (sandbox) => {
      const shown = await sandbox.run({
        id: 'tree',
        command: 'git write-tree',
        shell: INITIAL_SHELL,
        timeoutMs: 10_000,
        maxOutputBytes: 1000,
      });
      const patch = await sandbox.extractPatch(CAPS);
      if (patch.kind !== 'patch') throw new Error(patch.kind);
      const labels = { batch: 'b', sample: 's', rollout: 'b/s/apply' };
      const fresh = await sandboxes.start(
        { imageId, limits: LIMITS, epoch: 1, labels },
        new AbortController().signal,
      );
      try {
        await fresh.writeFile('/tmp/the.patch', Buffer.from(patch.text));
        const applied = await fresh.run({
          id: 'apply',
          command: 'git apply --index /tmp/the.patch && git write-tree',
          shell: INITIAL_SHELL,
          timeoutMs: 10_000,
          maxOutputBytes: 1000,
        });
        expect(applied.output).toBe(shown.output);
      } finally {
        await fresh.close();
      }
      expect(patch.facts).toEqual(
        expect.arrayContaining([
          { path: 'a.py', change: 'modified', binary: false },
          { path: 'b.txt', change: 'deleted', binary: false },
          { path: 'bin', change: 'added', binary: true },
          { path: 'run.sh', change: 'mode', binary: false },
          { path: 'file/deep/er', change: 'added', binary: false },
        ]),
      );
    });
  });

  it('T28: holds of modes only whether a file can be run', async () => {
    const text = await textOf(
      `chmod 4755 a.py; chmod 2777 b.txt; chmod 6000 file; chmod 1755 dir/one; chmod 0 no-eol.txt; python3 -c "import os; os.setxattr('crlf.txt', 'user.x', b'x')"`,
    );
    expect(text.match(/^(diff|old|new) .*$/gm)).toEqual(
      ['a.py', 'b.txt', 'dir/one'].flatMap((path) => [
        `diff --git a/${path} b/${path}`,
        'old mode 100644',
        'new mode 100755',
      ]),
    );
  });

  it('T35: holds a pointer to a large file as the text it is, and asks nobody for more', async () => {
    const text = await textOf(
      `${PAYLOAD}; printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 9\n' 7 >model.bin; echo '*.bin filter=lfs diff=lfs merge=lfs -text' >.gitattributes; printf '[lfs]\n\turl = http://127.0.0.1:1/\n' >.lfsconfig; git config filter.lfs.process /testbed/payload.sh; git config filter.lfs.clean /testbed/payload.sh; git config filter.lfs.required true`,
    );
    expect(text).toContain(`+oid sha256:${'7'.padStart(64, '0')}\n+size 9\n`);
    expect(text).not.toContain('b/pwned');
  });

  it('sees a deleted file whose name is not UTF-8', async () => {
    const key = `${installation}-latin`;
    const latin = await prepareTree(
      engine,
      installation,
      { 'a.txt': 'a\n' },
      { key, setup: [`echo old >$'caf\\xe9'; echo kept >$'th\\xe9'`] },
    );
    const labels = { batch: 'b', sample: 's', rollout: 'b/s/latin' };
    const sandbox = await sandboxes.start(
      { imageId: latin, limits: LIMITS, epoch: 1, labels },
      new AbortController().signal,
    );
    try {
      await sandbox.run({
        id: 'rm',
        command: `rm $'caf\\xe9'`,
        shell: INITIAL_SHELL,
        timeoutMs: 10_000,
        maxOutputBytes: 1000,
      });
      const patch = await sandbox.extractPatch(CAPS);
      expect(patch.kind === 'patch' && patch.text.match(/^diff .*$/gm)).toEqual([
        'diff --git "a/caf\\351" "b/caf\\351"',
      ]);
      expect(patch.kind === 'patch' && patch.facts).toMatchObject([{ change: 'deleted' }]);
    } finally {
      await sandbox.close();
      await sandboxes.removeImages([latin]);
    }
  });

  it('of many files in many places is whole', async () => {
    const patch = await patchOf(
      'for i in {1..40}; do mkdir -p "top$i/sub"; echo "$i" >"top$i/sub/f"; done; for i in {1..30}; do echo x >"dir/n$i"; done',
    );
    expect(patch.kind === 'patch' && patch.facts).toHaveLength(70);
  });

  it('T49: passes git apply outside the sandbox, too', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'twinpatch-apply-'));
    try {
      await writeFile(join(folder, 'a.py'), TREE['a.py']);
      execFileSync('git', ['apply', '-'], { cwd: folder, input: await textOf(CHANGE) });
      expect(execFileSync('cat', ['a.py'], { cwd: folder, encoding: 'utf8' })).toBe(
        'one = 100\ntwo = 2\n',
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('a cap', () => {
  it.each([
    ['bytes', 'head -c 5000000 /dev/urandom >big', {}, /more than 4194304 bytes/],
    ['the bytes of a sparse file', 'truncate -s 200M sparse', {}, /more than 4194304 bytes/],
    ['entries', 'for i in {1..300}; do echo >"f$i"; done', {}, /more than 200 changed files/],
    [
      'depth',
      'p=.; for i in {1..30}; do p=$p/d; done; mkdir -p "$p"; echo x >"$p/f"',
      {},
      /more than 20 folders deep/,
    ],
    ['the length of the patch', 'echo x >x.txt', { maxBytes: 1 }, /more than 1 bytes/],
  ])('T18: on %s refuses the whole patch', async (_what, command, caps, reason) => {
    expect(await patchOf(`${CHANGE}; ${command}`, caps)).toEqual({
      kind: 'oversized',
      reason: expect.stringMatching(reason),
    });
  });

  it('does not count what is ignored', async () => {
    expect(
      await textOf(
        `${CHANGE}; mkdir build; head -c 5000000 /dev/urandom >build/big; for i in {1..300}; do echo >"build/f$i"; done`,
      ),
    ).toContain(SEEN);
  });
});

describe('extraction', () => {
  it('T27: takes a link that leads out of the repository as a link, and nothing behind it', async () => {
    const text = await textOf(
      'rm -rf dir; mkdir -p /tmp/out; echo secret >/tmp/out/one; ln -s /tmp/out dir; ln -s ../../etc/passwd up',
    );
    expect(text).toMatch(/diff --git a\/dir b\/dir\nnew file mode 120000[^]*\+\/tmp\/out/);
    expect(text).toMatch(/diff --git a\/dir\/one b\/dir\/one\ndeleted file/);
    expect(text).toMatch(
      /diff --git a\/up b\/up\nnew file mode 120000[^]*\+\.\.\/\.\.\/etc\/passwd/,
    );
    expect(text).not.toContain('secret');
    expect(text).not.toContain('root:');
  });

  it('keeps a verifier ready for the next one, until the sandboxes are closed', async () => {
    await after(CHANGE, async (sandbox) => {
      const roles = async () => (await sandboxes.list()).map(({ labels }) => labels.role).sort();
      await sandbox.extractPatch(CAPS);
      expect(await roles()).toContain('verifier');
      await sandboxes.close();
      await expect.poll(roles).toEqual(['rollout']);
    });
  });

  it('of a sandbox that is gone says so', async () => {
    const gone = await after(CHANGE, async (sandbox) => sandbox);
    await expect(gone.extractPatch(CAPS)).rejects.toThrow(SandboxLost);
  });
});
