/** Attacks on what is around a sandbox: the engine, the kernel, the network, the host. The numbers are those of the attacks in docs/security.md. */

import type { PreparedSandbox } from '../../domain/ports.ts';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';

import { beforeAll, describe, expect, it } from 'vitest';

import { INITIAL_SHELL } from '../../sandbox/shell.ts';
import { openSuite, run, say } from '../support/sandbox-suite.ts';

const suite = await openSuite('escape');
let sandbox: PreparedSandbox;

beforeAll(async () => {
  sandbox = await suite.start();
});

describe('the host', () => {
  it('T1: nothing of it is mounted', async () => {
    const mounts = await say(sandbox, `cut -d' ' -f5 /proc/self/mountinfo | sort -u`);
    const masked = /^\/(proc|sys)(\/|$)/;
    expect(mounts.split('\n').filter((path) => path !== '' && !masked.test(path))).toEqual([
      '/',
      '/.twinpatch',
      '/dev',
      '/dev/mqueue',
      '/dev/pts',
      '/dev/shm',
      '/etc/hostname',
      '/etc/hosts',
      '/etc/resolv.conf',
      '/run/twinpatch',
    ]);
    expect(
      await say(
        sandbox,
        'ls -d /var/run/docker.sock /run/docker.sock /run/containerd /var/lib/docker 2>/dev/null; find / -xdev -type s 2>/dev/null',
      ),
    ).toBe('');
  });

  it.each([
    'mount -t tmpfs none /mnt',
    'mount --bind /etc /mnt',
    'umount /.twinpatch',
    'mknod /tmp/disk b 8 0',
    'python3 -c "import os; os.mknod(\'/tmp/disk\', 0o60600, os.makedev(254, 0))"',
    'echo b >/proc/sysrq-trigger',
    'echo "|/testbed/x" >/proc/sys/kernel/core_pattern',
    'echo /testbed/x >/sys/kernel/uevent_helper',
    'echo 1 >/proc/sys/net/ipv4/ip_forward',
    'echo /testbed/x >/sys/fs/cgroup/memory/release_agent',
    'mkdir /sys/fs/cgroup/memory/mine',
    'hostname elsewhere',
    'chroot / true',
    'python3 -c "import ctypes, os; c = ctypes.CDLL(None, use_errno=True); c.syscall(175, 0, 0, b\'\') and exit(os.strerror(ctypes.get_errno()))"',
    'python3 -c "import os; os.setpriority(os.PRIO_PROCESS, 0, -20)"',
    'python3 -c "import os; os.chown(\'/testbed/a.txt\', 0, 0)"',
    'python3 -c "import os; os.setuid(0)"',
  ])('T2: refuses %s', async (command) => {
    const { exitCode, output } = await run(sandbox, command);
    expect(exitCode).not.toBe(0);
    expect(output).toMatch(
      /not permitted|[Pp]ermission denied|superuser|Read-only|must be root|No such file/,
    );
  });

  it.each(['-r -U', '-m', '-n', '-p -f', '-u', '-C', '-i'])(
    'T3: gives no namespace to unshare %s',
    async (flags) => {
      const { exitCode, output } = await run(sandbox, `unshare ${flags} true`);
      expect({ exitCode, output }).toMatchObject({
        exitCode: 1,
        output: expect.stringMatching(/Operation not permitted|Permission denied/),
      });
    },
  );

  it('T4: neither a program with the bit of another user nor su gives one', async () => {
    await suite.asRoot(
      sandbox,
      'cp /usr/bin/id /usr/local/bin/root-id; chmod 4755 /usr/local/bin/root-id',
    );
    expect(await say(sandbox, 'root-id -u')).toBe('1000\n');
    for (const attempt of ['su -c id', 'echo id | newgrp root', 'setpriv --reuid 0 id'])
      expect((await run(sandbox, attempt)).output).not.toMatch(/uid=0|gid=0/);
  });

  it('T6: a command starts where it may be, with no descriptor but its own', async () => {
    for (const cwd of [
      '/proc/self/fd/8',
      '/proc/1/cwd',
      '/testbed/../../../root',
      'relative',
      '',
    ]) {
      const { output } = await run(sandbox, 'pwd; ls -l /proc/self/fd', {
        shell: { ...INITIAL_SHELL, cwd },
      });
      expect(output).toMatch(/^(\/|\/testbed)\n/);
      const opened = [...output.matchAll(/ (\d+) -> (\S+)/g)].map(([, fd, target]) => [fd, target]);
      expect(opened.map(([fd]) => fd)).toEqual(['0', '1', '2', '252', '3']);
      expect(
        opened.filter(([, target]) => /^\/(?!dev\/null|memfd|proc)/.test(target ?? '')),
      ).toEqual([]);
    }
  });

  it('T7: the program of the engine that starts others can be neither read nor replaced', async () => {
    const found = await say(
      sandbox,
      'for i in {1..200}; do for p in /proc/[0-9]*; do readlink "$p/exe"; done; done 2>/dev/null | sort -u',
    );
    expect(found).not.toMatch(/runc|containerd|docker|guestd/);
  });
});

describe('the network', () => {
  const connect = (family: string, kind: string, address: string, port: number) =>
    `timeout 5 python3 - <<'END'
import socket
s = socket.socket(socket.${family}, socket.${kind})
s.settimeout(2)
s.connect(('${address}', ${port}))
s.send(b'x')
print('reached')
END`;

  it.each([
    ['T8', 'TCP', connect('AF_INET', 'SOCK_STREAM', '1.1.1.1', 80)],
    ['T8', 'UDP', connect('AF_INET', 'SOCK_DGRAM', '1.1.1.1', 53)],
    ['T8', 'IPv6', connect('AF_INET6', 'SOCK_STREAM', '2606:4700:4700::1111', 80)],
    [
      'T8',
      'raw packets',
      `python3 -c "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"`,
    ],
    ['T8', 'ICMP', `python3 -c "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"`],
    ['T9', 'the metadata service', connect('AF_INET', 'SOCK_STREAM', '169.254.169.254', 80)],
    ['T9', 'the metadata service by IPv6', connect('AF_INET6', 'SOCK_STREAM', 'fd00:ec2::254', 80)],
    [
      'T11',
      'a name server',
      `timeout 5 python3 -c "import socket; socket.getaddrinfo('secret.example.com', 80)"`,
    ],
  ])('%s: has no way to %s', async (_number, _what, command) => {
    const { exitCode, output, durationMs } = await run(sandbox, command);
    expect({ exitCode, output }).toMatchObject({
      exitCode: 1,
      output: expect.not.stringContaining('reached'),
    });
    expect(durationMs).toBeLessThan(1500);
  });

  it('T8: has one interface, which leads back', async () => {
    expect(
      await say(
        sandbox,
        `tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; cat /proc/net/route | tail -n +2`,
      ),
    ).toBe('lo\n');
  });

  it('T10: has no way to a listener on this host, by any of its addresses', async () => {
    let reached = 0;
    const server = createServer((socket) => {
      reached++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    try {
      const { port } = server.address() as { port: number };
      const addresses = Object.values(networkInterfaces())
        .flatMap((list) => list ?? [])
        .filter(({ family }) => family === 'IPv4')
        .map(({ address }) => address);
      for (const address of new Set([
        ...addresses,
        '127.0.0.1',
        '172.17.0.1',
        'host.docker.internal',
      ]))
        expect(
          (await run(sandbox, connect('AF_INET', 'SOCK_STREAM', address, port))).exitCode,
        ).toBe(1);
      expect(reached).toBe(0);
    } finally {
      server.close();
    }
  });
});

describe('the kernel', () => {
  /** Calls by number: natively, by the 32-bit entry, and by the numbers of the third interface of x86-64. */
  const CALLS = `
import ctypes, errno, mmap
libc = ctypes.CDLL(None, use_errno=True)
def native(number):
    ctypes.set_errno(0)
    return -ctypes.get_errno() if libc.syscall(number, 0, 0, 0, 0, 0) < 0 else 0
page = mmap.mmap(-1, 4096, prot=7)
entry = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
def compat(number):
    page.seek(0)
    page.write(b'\\x53\\x31\\xdb\\x31\\xc9\\x31\\xd2\\xb8' + number.to_bytes(4, 'little') + b'\\xcd\\x80\\x5b\\xc3')
    return entry()
for kind, call, numbers in (
    ('native', native, dict(bpf=321, userfaultfd=323, keyctl=250, perf=298, uring_setup=425, uring_enter=426, uring_register=427)),
    ('compat', compat, dict(bpf=357, userfaultfd=374, keyctl=288, perf=336, uring_setup=425, uring_enter=426, uring_register=427)),
    ('x32', native, dict(getpid=0x40000000 + 39, bpf=0x40000000 + 321)),
):
    for name, number in numbers.items():
        print(kind, name, errno.errorcode.get(-call(number), 'allowed'))
print('getpid', native(39), compat(20) > 0)
`;

  it.runIf(process.arch === 'x64')(
    'T5: does not hear the calls that no command needs, by any entry',
    async () => {
      const output = await say(sandbox, `python3 - <<'END'${CALLS}END`);
      const lines = output.trimEnd().split('\n');
      expect(lines).toHaveLength(17);
      expect(lines.slice(0, -1).filter((line) => !line.endsWith(' EPERM'))).toEqual([]);
      expect(lines.at(-1)).toBe('getpid 0 True');
    },
  );

  it.each([
    'date -s 2001-01-01',
    `python3 -c "import time; time.clock_settime(time.CLOCK_REALTIME, 0)"`,
    'echo 0 >/sys/class/rtc/rtc0/since_epoch',
  ])('T56: keeps its clock from %s', async (command) => {
    expect((await run(sandbox, command)).exitCode).not.toBe(0);
    expect(Math.abs(Date.now() / 1000 - Number(await say(sandbox, 'date +%s')))).toBeLessThan(60);
  });

  it('T57: tells nothing of other processes, of its memory or of its log', async () => {
    const commands = await say(sandbox, `cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '`);
    expect(commands).not.toMatch(/dockerd|containerd|vitest|node /);
    for (const secret of [
      '/proc/kcore',
      '/proc/keys',
      '/proc/sched_debug',
      '/proc/timer_list',
      '/proc/scsi/scsi',
      '/sys/firmware/acpi/tables/DSDT',
      '/dev/mem',
      '/dev/kmsg',
    ])
      expect((await run(sandbox, `head -c 1 ${secret} 2>/dev/null`)).output).toBe('');
    expect((await run(sandbox, 'dmesg')).exitCode).not.toBe(0);
  });

  it('T58: keeps no memory of a program that crashes', async () => {
    expect(
      await say(
        sandbox,
        'ulimit -c; ulimit -Hc; ulimit -c unlimited 2>/dev/null; python3 -c "import os; os.abort()"; echo $?; ls -d *core*',
      ),
    ).toMatch(/^0\n0\n.*134\nls: /s);
  });
});

describe('a program that waits for a person', () => {
  it.each([
    ['read line', 1],
    ['read line </dev/tty', 1],
    ['cat', 0],
    ['python3', 0],
    ['bash -i', 0],
    ['git commit --allow-empty', 1],
    ['git --paginate log', 0],
    ['git rebase -i --root', 0],
    ['git clone https://127.0.0.1:1/private.git', 128],
    ['more a.txt', 0],
    [`python3 -c "help('str')"`, 0],
    ['passwd', 10],
    ['su', 1],
    [`python3 -c "import getpass; getpass.getpass()"`, 1],
    ['apt-get install nothing-of-that-name', 100],
  ])('T60: %s ends by itself', async (command, exitCode) => {
    const result = await run(sandbox, command, { timeoutMs: 15_000 });
    expect(result).toMatchObject({ end: 'exited', exitCode });
    expect(result.durationMs).toBeLessThan(5000);
  });
});
