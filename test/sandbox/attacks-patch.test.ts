/** What a sandbox does to run something where its patch is made, or to hide a change. The numbers are those of docs/security.md. */

import { existsSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { describeClosedChanges } from '../contracts/closed-changes.ts';
import { CAPS, CHANGE, openPatchSuite, SEEN } from '../support/patch-suite.ts';
import { uniqueName } from '../support/sandbox-fixture.ts';

/** Runs wherever one of git's own mechanisms starts it, and leaves a trace there. */
const MARKER = `/tmp/${uniqueName('pwned')}`;
const PAYLOAD = `printf '#!/bin/sh\\ntouch /testbed/pwned ${MARKER}\\ncat\\n' >/home/agent/payload; chmod 755 /home/agent/payload; cp /home/agent/payload /testbed/payload.sh`;

const { after, engine, start, textOf } = await openPatchSuite('attacks-patch');

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

  it('T35: holds a pointer to a large file as the text it is, and asks nobody for more', async () => {
    const text = await textOf(
      `${PAYLOAD}; printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 9\n' 7 >model.bin; echo '*.bin filter=lfs diff=lfs merge=lfs -text' >.gitattributes; printf '[lfs]\n\turl = http://127.0.0.1:1/\n' >.lfsconfig; git config filter.lfs.process /testbed/payload.sh; git config filter.lfs.clean /testbed/payload.sh; git config filter.lfs.required true`,
    );
    expect(text).toContain(`+oid sha256:${'7'.padStart(64, '0')}\n+size 9\n`);
    expect(text).not.toContain('b/pwned');
  });
});

describeClosedChanges('T45: what a sandbox closes to itself is in its patch:', start);
