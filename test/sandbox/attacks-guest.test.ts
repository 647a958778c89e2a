/** Attacks on the guest of a sandbox, and on files through it. The numbers are those of docs/security.md. */

import type Docker from 'dockerode';
import type { PreparedSandbox } from '../../domain/ports.ts';
import { beforeAll, describe, expect, it } from 'vitest';

import { FileWriteRefused } from '../../domain/ports.ts';
import { toRunFields } from '../../sandbox/command.ts';
import { toCreateOptions } from '../../sandbox/container.ts';
import { readFileIn, writeFileIn } from '../../sandbox/files.ts';
import { createGuestClient } from '../../sandbox/guest-client.ts';
import { guestOf } from '../../sandbox/guest-volume.ts';
import { INITIAL_SHELL } from '../../sandbox/shell.ts';
import { toFrame, REQUEST, WIRE_VERSION } from '../../sandbox/wire.ts';
import { count } from '../support/counts.ts';
import { LIMITS } from '../support/sandbox-fixture.ts';
import { openSuite, run, say } from '../support/sandbox-suite.ts';

/** What the agent would leave in a file that is not its own. */
const PLANTED = 'planted by the agent';
const CAPS = { maxBytes: 1024 ** 2, maxEntries: 100, maxDepth: 20, timeoutMs: 60_000 };

const suite = await openSuite('guest', { 'a.txt': 'a\n', 'pkg/b.txt': 'b\n' });
let sandbox: PreparedSandbox;

beforeAll(async () => {
  sandbox = await suite.start();
});

describe('the first process', () => {
  it.each([
    'kill -9 1; kill -STOP 1; kill -SEGV 1',
    'kill -9 -1; true',
    'python3 -c "import os, signal; [os.kill(1, n) for n in range(1, 64)]"',
    'echo x >/proc/1/mem',
    'echo x >/proc/1/fd/1',
    'cat /proc/1/environ /proc/1/maps /proc/1/mem',
    'ls -l /proc/1/fd/ /proc/1/exe /proc/1/root',
    'python3 -c "import ctypes; c = ctypes.CDLL(None); exit(c.ptrace(16, 1, 0, 0) == 0)"',
    'rm -rf /.twinpatch; mv /.twinpatch /tmp/x; cp /bin/true /.twinpatch/guestd; ln -sf /bin/true /.twinpatch/guestd',
    'rm -rf /run/twinpatch; mv /run/twinpatch /tmp/x; ls /run/twinpatch',
    '/.twinpatch/guestd serve 0 1000',
    '/.twinpatch/guestd relay </dev/null',
    'echo -1000 >/proc/self/oom_score_adj; renice -n -20 $$',
    'cat /proc/self/fd/252; echo junk >/proc/self/fd/252; head -c 400000 /dev/zero >&252',
    'exec 252>&-',
  ])('T21: goes on after %s', async (command) => {
    await run(sandbox, command);
    expect(await run(sandbox, 'cat a.txt')).toMatchObject({ exitCode: 0, output: 'a\n' });
  });

  it('T21: is not replaced by root of its container either', async () => {
    const attacks = [
      'rm -f /.twinpatch/guestd',
      'cp /bin/true /.twinpatch/guestd',
      'mv /.twinpatch /tmp/moved',
      'umount /.twinpatch',
      'mount -o remount,rw /.twinpatch',
      'mount -t tmpfs none /.twinpatch',
      'mount --bind /tmp /.twinpatch',
    ];
    const tried = attacks.map((attack) => `${attack} 2>/dev/null && echo '${attack}'`).join('\n');
    expect((await suite.asRoot(sandbox, tried)).output).toBe('');
  });

  it('T21: takes a new owner after all of that', async () => {
    const next = await suite.sandboxes.find('b/s/rollout-1.1', 2, LIMITS);
    expect(next?.ref).toEqual(sandbox.ref);
    sandbox = next as PreparedSandbox;
    expect(await say(sandbox, 'cat a.txt')).toBe('a\n');
  });

  it('T22: hears nobody but a relay of the engine, and its owner is not sent away', async () => {
    const hello = toFrame(REQUEST.hello, 1, [
      { u32: WIRE_VERSION },
      { u64: 999 },
      { u32: 1000 },
      { u32: 0 },
    ]);
    const forge = `python3 - <<'END'
import socket
s = socket.socket(socket.AF_UNIX)
try:
    s.connect('/run/twinpatch/guestd.sock')
    s.sendall(bytes.fromhex('${hello.toString('hex')}'))
    s.settimeout(5)
    print('answer', len(s.recv(100)))
except OSError as error:
    print(type(error).__name__)
END`;
    expect(await say(sandbox, forge)).toBe('PermissionError\n');
    // Root's, but not started by the engine itself: a shell stands between.
    expect((await suite.asRoot(sandbox, `${forge}\ntrue`)).output).toMatch(
      /^(answer 0|ConnectionResetError|BrokenPipeError)\n$/,
    );
    expect(await say(sandbox, 'echo mine')).toBe('mine\n');
  });
});

describe('a path', () => {
  const OUTSIDE = [
    '/etc/shadow',
    '/testbed/../etc/shadow',
    '/testbed/../../../../etc/shadow',
    '/testbed/pkg/../../etc/shadow',
    '//etc//shadow',
    '/etc/./shadow',
    '/etc/shadow/',
    '/etc/shadow/.',
    '/root/.bashrc',
    '/root',
    '/proc/1/environ',
    '/proc/self/environ',
    '/proc/self/root/etc/shadow',
    '/proc/self/cwd/a.txt',
    '/proc/self/fd/0',
    '/proc/self/mem',
    '/proc/kcore',
    '/proc/sysrq-trigger',
    '/sys/kernel/uevent_helper',
    '/sys/fs/cgroup/memory/memory.limit_in_bytes',
    '/dev/stdin',
    '/dev/zero',
    '/dev/tty',
    '/dev/fd/0',
    '/dev/shm/../../etc/shadow',
    '/.twinpatch/guestd',
    '/run/twinpatch/guestd.sock',
    '/testbed/../run/twinpatch/guestd.sock',
    '/testbed/../.twinpatch/guestd',
    '~/x',
    '~root/x',
    '$HOME/x',
    'a.txt',
    './a.txt',
    '../etc/shadow',
    '',
    '/testbed/a.txt\0/etc/shadow',
    '\0',
    `/${'x'.repeat(300)}`,
    `/testbed${'/pkg/..'.repeat(1000)}/a.txt`,
  ];

  it.each(OUTSIDE)('T23: %j gives no file and takes none', async (path) => {
    const read = await sandbox.readFile(path, 100);
    expect(read.kind).not.toBe('file');
    await expect(sandbox.writeFile(path, Buffer.from(PLANTED))).rejects.toThrow(FileWriteRefused);
    if (read.kind === 'refused') expect(await sandbox.list(path, 1)).toBeUndefined();
  });

  it('T23: that was tried left nothing behind', async () => {
    const { output } = await suite.asRoot(
      sandbox,
      `grep -rls '${PLANTED}' /etc /root /run /tmp /home /testbed; ls -A /home/agent`,
    );
    expect(output).toBe('');
  });

  it.each([
    '/etc/passwd',
    '/proc/self/environ',
    '/home/agent',
    '../etc/passwd',
    '/dev/zero',
    '/tmp',
  ])('T24: a link in the repository to %s is not followed', async (target) => {
    await run(sandbox, `ln -sfn ${target} leaving; mkdir -p deep; ln -sfn ${target} deep/leaving`);
    for (const path of ['/testbed/leaving', '/testbed/deep/leaving', '/testbed/leaving/below']) {
      expect(['refused', 'missing']).toContain((await sandbox.readFile(path, 10)).kind);
      await expect(sandbox.writeFile(path, Buffer.from(PLANTED))).rejects.toThrow(FileWriteRefused);
    }
    expect(await sandbox.list('/testbed/leaving', 1)).toBeUndefined();
    expect(
      (
        await suite.asRoot(
          sandbox,
          `grep -ls '${PLANTED}' /etc/passwd; ls /home/agent/below /tmp/below 2>/dev/null`,
        )
      ).output,
    ).toBe('');
  });

  it.each([
    '/proc/self/root/testbed',
    '/proc/self/root/proc/self/root/testbed',
    '/proc/self/cwd/testbed',
    '/proc/thread-self/root/testbed',
    '/proc/1/root/testbed',
    '/proc/$PID/root/testbed',
    '/proc/$PID/cwd',
    '/dev/fd/../../testbed',
    '/tmp/cwd',
    '/tmp/root/testbed',
    '/tmp/fd/3',
    '/tmp/alias',
    '/tmp/../testbed',
    '/tmp/../tmp/alias/pkg/..',
    '//testbed',
    '/./testbed',
    '/testbed/pkg/../../testbed',
  ])('T24: nor is it by another name of the repository: %s', async (alias) => {
    await say(sandbox, 'mkdir -p /home/agent/out; echo secret >/home/agent/out/f');
    const links = `ln -sfn /home/agent/out leaving; ln -sfn /testbed /tmp/alias
ln -sfn /proc/self/cwd /tmp/cwd; ln -sfn /proc/self/root /tmp/root; ln -sfn /dev/fd /tmp/fd`;
    const pid = (await say(sandbox, `${links}\nexec 3</testbed; sleep 600 & echo $!`)).trim();
    const at = alias.replace('$PID', pid);
    for (const path of [`${at}/leaving/f`, `${at}/leaving/new`, `${at}/leaving`]) {
      expect(['refused', 'missing']).toContain((await sandbox.readFile(path, 10)).kind);
      await expect(sandbox.writeFile(path, Buffer.from(PLANTED))).rejects.toThrow(FileWriteRefused);
      expect(await sandbox.list(path, 2)).toBeUndefined();
    }
    expect(await say(sandbox, `kill ${pid}; ls /home/agent/out; cat /home/agent/out/f`)).toBe(
      'f\nsecret\n',
    );
  });

  it("T24: what lies outside is the agent's by its own name, and what links to the repository from there stays", async () => {
    await say(sandbox, 'mkdir -p /tmp/own; echo own >/tmp/own/f; ln -sfn /tmp/own /tmp/to-own');
    await say(sandbox, 'ln -sfn /testbed/pkg /tmp/to-pkg; ln -sfn ../tmp/to-pkg there-and-back');
    const text = async (path: string) => {
      const read = await sandbox.readFile(path, 100);
      return read.kind === 'file' ? Buffer.from(read.bytes).toString() : read.kind;
    };
    expect(await text('/tmp/to-own/f')).toBe('own\n');
    expect(await text('/tmp/to-pkg/b.txt')).toBe('b\n');
    expect(await text('/testbed/there-and-back/b.txt')).toBe('b\n');
    await sandbox.writeFile('/tmp/to-own/new/g', Buffer.from('g'));
    expect(await say(sandbox, 'cat /tmp/own/new/g')).toBe('g');
  });

  it("T24: is not listed through what is the kernel's or ours", async () => {
    const listed = (await sandbox.list('/', 3)) ?? [];
    const paths = listed.map(({ path }) => path);
    expect(paths).toContain('testbed/pkg/b.txt');
    expect(paths).toContain('etc/passwd');
    expect(paths.filter((path) => /^(proc|sys|dev|run\/twinpatch)\//.test(path))).toEqual([]);
  });

  it('T24: a volume that is the repository by another name is no way out of it', async () => {
    const volume = `${suite.installation}-alias`;
    const { HostConfig, ...options } = toCreateOptions({
      imageId: suite.imageId,
      labels: { installation: suite.installation, role: 'rollout' },
      limits: LIMITS,
      network: false,
      guest: await guestOf(suite.engine, suite.installation, suite.imageId, 60_000),
    });
    const mounted = ['/testbed', '/mnt/alias'].map((Target) => ({
      Type: 'volume' as const,
      Source: volume,
      Target,
    }));
    const container = await suite.engine.docker.createContainer({
      ...options,
      HostConfig: {
        ...HostConfig,
        Mounts: [...(HostConfig?.Mounts ?? []), ...(mounted as Docker.MountSettings[])],
      },
    });
    try {
      await container.start();
      const guest = createGuestClient(suite.engine, container.id, {
        epoch: 1,
        leaseMs: 60_000,
        environment: {},
      });
      await writeFileIn(guest, '/testbed/a.txt', Buffer.from('a\n'));
      const command = 'ln -sfn /etc /testbed/leaving';
      await guest.ask(
        REQUEST.run,
        toRunFields({ id: '1', command, shell: INITIAL_SHELL, timeoutMs: 5000, maxOutputBytes: 9 }),
        () => undefined,
        { timeoutMs: 20_000 },
      );
      for (const folder of ['/testbed', '/mnt/alias']) {
        const read = await readFileIn(guest, `${folder}/leaving/passwd`, 10);
        expect(read).toMatchObject({ kind: 'refused', reason: 'it leads out of the repository' });
      }
      guest.close();
    } finally {
      await container.remove({ force: true, v: true });
      await suite.engine.docker.getVolume(volume).remove();
    }
  });

  it('T24: a link that is swapped while a file is read and written leads nowhere else', async () => {
    await say(sandbox, 'mkdir -p /home/agent/outside; echo secret >/home/agent/outside/f');
    await run(
      sandbox,
      `mkdir -p real; echo inside >real/f
python3 - >/dev/null 2>&1 <<'END' &
import os
while True:
    for target in ('real', '/home/agent/outside'):
        os.symlink(target, 'swap.new')
        os.replace('swap.new', 'swap')
END
sleep 0.2`,
    );
    const seen = new Set<string>();
    for (let round = 0; round < count(200, 10_000); round++) {
      const read = await sandbox.readFile('/testbed/swap/f', 100);
      seen.add(read.kind === 'file' ? Buffer.from(read.bytes).toString() : read.kind);
      await sandbox
        .writeFile('/testbed/swap/g', Buffer.from('g'))
        .catch((error: unknown) => seen.add((error as Error).name));
    }
    expect(seen).toContain('inside\n');
    expect(seen).not.toContain('secret\n');
    expect([...seen].toSorted()).toEqual(['FileWriteRefused', 'inside\n', 'refused']);
    expect(await say(sandbox, 'kill %1 2>/dev/null; ls /home/agent/outside')).toBe('f\n');
  });

  it('T25: an edit of a hard link changes no other file', async () => {
    const own = await suite.start();
    await run(own, 'echo theirs >/home/agent/f; ln /home/agent/f linked; ln /etc/passwd system');
    await own.writeFile('/testbed/linked', Buffer.from('mine\n'));
    expect(await say(own, 'cat /home/agent/f linked; ls system')).toBe(
      "theirs\nmine\nls: cannot access 'system': No such file or directory\n",
    );
    const patch = await own.extractPatch(CAPS);
    expect(patch).toMatchObject({ facts: [{ path: 'linked', change: 'added' }] });
    await own.close();
  });

  it.each([
    ['a pipe', 'rm -f x; mkfifo x'],
    ['a socket', `rm -f x; python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('x')"`],
    ['a pipe behind a link', 'mkfifo p; ln -sfn p x'],
    ['a device behind a link', 'ln -sfn /dev/zero x'],
  ])('T26: %s is refused at once', async (_what, command) => {
    await run(sandbox, command);
    const since = performance.now();
    expect(await sandbox.readFile('/testbed/x', 1000)).toMatchObject({ kind: 'refused' });
    await expect(sandbox.writeFile('/testbed/x', Buffer.from('x'))).rejects.toThrow(
      FileWriteRefused,
    );
    expect(performance.now() - since).toBeLessThan(300);
  });

  it('T19: a file of any size is read to the bytes asked for', async () => {
    await run(sandbox, 'truncate -s 200M sparse; head -c 50M /dev/zero | gzip >bomb.gz');
    const before = process.memoryUsage().rss;
    const since = performance.now();
    expect(await sandbox.readFile('/testbed/sparse', 1000)).toMatchObject({
      size: 200 * 1024 ** 2,
      truncated: true,
    });
    const packed = await sandbox.readFile('/testbed/bomb.gz', 1000);
    expect(packed.kind === 'file' && [...packed.bytes.subarray(0, 2)]).toEqual([0x1f, 0x8b]);
    expect(performance.now() - since).toBeLessThan(1000);
    expect(process.memoryUsage().rss - before).toBeLessThan(20 * 1024 ** 2);
  });
});
