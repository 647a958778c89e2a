/** The agent's files of one sandbox, saved and restored into another one of the same image. */

import { describe, expect, it } from 'vitest';

import type { PreparedSandbox } from '../../domain/ports.ts';
import { CAPS, CHANGE } from '../support/patch-suite.ts';
import { after as afterIn, run, say } from '../support/sandbox-suite.ts';

const MAX_BYTES = 32 * 1024 ** 2;
/** Everything in the places that a saved tree is of: kinds, modes, times, link texts and contents. The folders themselves may be root's. */
const MANIFEST = String.raw`
cd /; export LC_ALL=C
find testbed home/agent tmp var/tmp ! -path tmp ! -path var/tmp -printf '%y %m %T@ %p -> %l\n' | sort
find testbed home/agent tmp var/tmp -type f -print0 | sort -z | xargs -0 sha256sum`;

const manifestOf = (sandbox: PreparedSandbox) =>
  run(sandbox, MANIFEST, { maxOutputBytes: 4 * 1024 ** 2 }).then(({ output }) => output);

const KINDS_OF_CHANGE = [
  `${CHANGE}; rm b.txt; printf 'x' >>no-eol.txt; touch -d '2001-02-03 04:05:06.789' a.py`,
  'rm -r dir; echo now a file >dir; rm file; mkdir -p file/deep; echo below >file/deep/er',
  'ln -sf /etc/passwd link; rm link-dir; mkdir link-dir; echo in >link-dir/in; ln -s nowhere dangling',
  'chmod -x run.sh; chmod 640 crlf.txt; chmod u+s latin1.txt; ln a.py hard.py; : >empty',
  String.raw`echo q >$'new\nline \e "q"\\.txt'; echo l >$'latin\xe9.txt'; mkdir $'d\xe9'; echo l >$'d\xe9/x'`,
  'mkdir -p many; for i in {1..300}; do echo $i >many/$i; done; mv many moved; mkdir -p emptied; rm tracked.log',
  'mkdir closed; echo c >closed/c; echo s >secret; chmod 000 secret; chmod 500 closed; mkdir shut; chmod 700 shut',
  'git config user.name x; git config user.email x@y; git add -A 2>/dev/null; git commit -qm x; git branch other; git stash list',
  'mkdir -p ~/.cache/tool; echo h >~/.cache/tool/x; echo t >/tmp/t; mkdir -p /var/tmp/v/w; echo v >/var/tmp/v/w/x',
  'head -c 3000000 /dev/urandom >random.bin',
];

/** `start` gives a sandbox of an image with the tree of the patch suite. */
export function describeSavedTrees(name: string, start: () => Promise<PreparedSandbox>): void {
  async function restored<T>(
    from: PreparedSandbox,
    work: (fresh: PreparedSandbox) => Promise<T>,
  ): Promise<T> {
    const tree = await from.saveTree(MAX_BYTES);
    expect(tree).toBeDefined();
    const fresh = await start();
    try {
      expect(await fresh.restoreTree(tree ?? new Uint8Array())).toBe(true);
      return await work(fresh);
    } finally {
      await fresh.close();
    }
  }

  const after = <T>(command: string, work: (sandbox: PreparedSandbox) => Promise<T>): Promise<T> =>
    afterIn(start, command, work);

  describe(name, () => {
    it('gives another sandbox the very files: contents, names, kinds, modes, times, links, git and all', async () => {
      await after(KINDS_OF_CHANGE.join('\n'), async (sandbox) => {
        await restored(sandbox, async (fresh) => {
          expect(await manifestOf(fresh)).toBe(await manifestOf(sandbox));
          const asked = 'git status --porcelain; git log --format=%H%s; git branch';
          expect(await say(fresh, asked)).toBe(await say(sandbox, asked));
          const caps = { ...CAPS, maxEntries: 1000 };
          const [again, first] = [await fresh.extractPatch(caps), await sandbox.extractPatch(caps)];
          expect(again).toEqual(first);
          expect(first.kind).toBe('patch');
        });
      });
    });

    it('can be saved again from where it was restored', async () => {
      await after('echo 1 >one; rm b.txt; mv dir elsewhere', (sandbox) =>
        restored(sandbox, async (fresh) => {
          await run(fresh, 'echo 2 >two; rm one; rm -r elsewhere');
          await restored(fresh, async (third) => {
            expect(await manifestOf(third)).toBe(await manifestOf(fresh));
          });
        }),
      );
    });

    it('is small where little changed, and nothing where it is too large', async () => {
      await after('echo 1 >>a.py', async (sandbox) => {
        expect((await sandbox.saveTree(MAX_BYTES))?.length).toBeLessThan(1000);
        await run(sandbox, 'head -c 2000000 /dev/zero >large');
        expect(await sandbox.saveTree(1_000_000)).toBeUndefined();
        expect((await sandbox.saveTree(MAX_BYTES))?.length).toBeGreaterThan(2_000_000);
        await run(sandbox, 'truncate -s 200M sparse');
        expect(await sandbox.saveTree(MAX_BYTES)).toBeUndefined();
      });
    });

    it('leaves pipes and sockets out, follows no link, and touches nothing that is not the agent’s', async () => {
      const hostile = [
        'mkfifo pipe; ln -s /etc etc; ln -s /proc/self/environ env; ln -s / root',
        `python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('/tmp/socket')"`,
        'mkdir -p deep; (cd deep; for i in {1..100}; do mkdir -p d; cd d; done; echo x >x)',
      ];
      await after(hostile.join('\n'), (sandbox) =>
        restored(sandbox, async (fresh) => {
          expect(
            await say(fresh, 'readlink etc env root; ls pipe /tmp/socket 2>&1 | grep -c "No such"'),
          ).toBe('/etc\n/proc/self/environ\n/\n2\n');
          expect(await say(fresh, 'find deep -name x | wc -l; stat -c %U /etc/passwd /tmp')).toBe(
            '1\nroot\nroot\n',
          );
        }),
      );
    });

    it('is refused where it is none', async () => {
      const sandbox = await start();
      const trees = ['', 'x', 'D', `f${'\0'.repeat(40)}`].map((text) => Buffer.from(text));
      const tree = await sandbox.saveTree(MAX_BYTES);
      await run(sandbox, 'echo 1 >one');
      const whole = Buffer.from((await sandbox.saveTree(MAX_BYTES)) ?? []);
      expect(whole.length).toBeGreaterThan(tree?.length ?? 0);
      const answers: boolean[] = [];
      for (const each of [...trees, whole.subarray(0, -1)])
        answers.push(await sandbox.restoreTree(each));
      expect(answers).toEqual([true, false, false, false, false]);
      expect(await say(sandbox, 'echo still here')).toBe('still here\n');
      await sandbox.close();
    });
  });
}
