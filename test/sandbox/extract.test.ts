import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { SandboxLost } from '../../domain/ports.ts';
import { CAPS, CHANGE, openPatchSuite, SEEN, TREE } from '../support/patch-suite.ts';
import { prepareTree } from '../support/sandbox-fixture.ts';
import { run, say } from '../support/sandbox-suite.ts';

const { after, engine, installation, patchOf, sandboxes, start, textOf } =
  await openPatchSuite('extract');

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
      const shown = await say(sandbox, 'git write-tree');
      const patch = await sandbox.extractPatch(CAPS);
      if (patch.kind !== 'patch') throw new Error(patch.kind);
      const fresh = await start();
      try {
        await fresh.writeFile('/tmp/the.patch', Buffer.from(patch.text));
        const applied = await say(fresh, 'git apply --index /tmp/the.patch && git write-tree');
        expect(applied).toBe(shown);
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

  it('sees a deleted file whose name is not UTF-8', async () => {
    const key = `${installation}-latin`;
    const latin = await prepareTree(
      engine,
      installation,
      { 'a.txt': 'a\n' },
      { key, setup: [`echo old >$'caf\\xe9'; echo kept >$'th\\xe9'`] },
    );
    const sandbox = await start({ imageId: latin });
    try {
      await run(sandbox, `rm $'caf\\xe9'`);
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
    [
      'the files of a folder that is gone',
      'rm -r dir',
      { maxEntries: 2 },
      /more than 2 changed files/,
    ],
    ['the bytes of a file that is gone', 'rm b.txt', { maxBytes: 19 }, /more than 19 bytes/],
    ['the depth of what is gone', 'rm dir/one', { maxDepth: 1 }, /more than 1 folders deep/],
    ['time', 'rm dir/one', { timeoutMs: 1 }, /could not be (read|compared)/],
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

  it('is made again in another verifier when the one that was kept has gone', async () => {
    await after(CHANGE, async (sandbox) => {
      const first = await sandbox.extractPatch(CAPS);
      const verifiers = (await sandboxes.list()).filter(({ labels }) => labels.role === 'verifier');
      expect(verifiers).not.toEqual([]);
      for (const { id } of verifiers) {
        // It may be going already.
        await engine.docker
          .getContainer(id)
          .remove({ force: true })
          .catch(() => undefined);
      }
      expect(await sandbox.extractPatch(CAPS)).toEqual(first);
    });
  });

  it('of a sandbox that is gone says so', async () => {
    const gone = await after(CHANGE, async (sandbox) => sandbox);
    await expect(gone.extractPatch(CAPS)).rejects.toThrow(SandboxLost);
  });
});
