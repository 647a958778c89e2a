/** Attacks on what a sandbox shares with others: memory, processes, processors, disk, the worker. The numbers are those of docs/security.md. */

import type { PreparedSandbox } from '../../domain/ports.ts';
import { beforeAll, describe, expect, it } from 'vitest';

import type { ExtractCaps } from '../../domain/ports.ts';
import { count } from '../support/counts.ts';
import { openSuite, run, say } from '../support/sandbox-suite.ts';

const CAPS: ExtractCaps = {
  maxBytes: 1024 ** 2,
  maxEntries: 100,
  maxDepth: 20,
  timeoutMs: 60_000,
};

const suite = await openSuite('resources');
let sandbox: PreparedSandbox;

beforeAll(async () => {
  sandbox = await suite.start();
});

const processes = async () => Number(await say(sandbox, 'ls -d /proc/[0-9]* | wc -l'));

async function isWell(): Promise<void> {
  expect(await run(sandbox, 'echo ok')).toMatchObject({ end: 'exited', output: 'ok\n' });
}

describe('processes', () => {
  it.each([
    ['the classic one', ':(){ :|:& };:'],
    ['one that ignores signals', `trap '' TERM HUP INT; f() { f & f & }; f`],
    ['one in sessions of their own', 'while :; do setsid sleep 100 & done'],
    [
      'one of threads',
      `python3 -c "
import threading, time
while True: threading.Thread(target=time.sleep, args=(100,)).start()"; sleep 100`,
    ],
  ])('T12: a fork bomb ends with its command: %s', async (_what, bomb) => {
    const { durationMs } = await run(sandbox, bomb, { timeoutMs: 2000 });
    expect(durationMs).toBeLessThan(8000);
    await isWell();
    await expect.poll(processes).toBeLessThan(12);
  });

  it('F23: children that nobody waits for are taken in', async () => {
    const children = count(500, 5000);
    await run(sandbox, `for ((i = 0; i < ${children}; i++)); do (true &); done; sleep 0.3`, {
      timeoutMs: 120_000,
    });
    expect(await processes()).toBeLessThan(12);
  });

  it('T20: four busy loops get the processors of their sandbox and no more', async () => {
    const own = await suite.start({ limits: { cpus: 0.25 } });
    const usage = `cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null || awk '/usage_usec/ {print $2 * 1000}' /sys/fs/cgroup/cpu.stat`;
    const before = Number(await say(own, usage));
    const { durationMs } = await run(
      own,
      'for i in 1 2 3 4; do timeout 2 bash -c "while :; do :; done" & done; wait',
    );
    const spentMs = (Number(await say(own, usage)) - before) / 1e6;
    expect(spentMs).toBeGreaterThan(50);
    expect(spentMs).toBeLessThan(0.3 * durationMs + 100);
    await own.close();
  });
});

describe('memory', () => {
  it.each([
    ['allocates', `python3 -c "x = b'x' * (1500 * 1024 ** 2)"`],
    ['keeps its output to itself', `x=$(yes | head -c 700M); echo \${#x}`],
    [
      'allocates in many processes',
      `for i in {1..8}; do python3 -c "x = b'x' * (100 * 1024 ** 2); import time; time.sleep(1)" & done; wait`,
    ],
  ])(
    'T13: a command that %s beyond the limit is ended by it, and the sandbox stays',
    async (_what, bomb) => {
      expect((await run(sandbox, bomb)).end).toBe('oom');
      await isWell();
    },
  );

  it('T13: that is shared goes with the last process that has it', async () => {
    const own = await suite.start();
    const share = `import ctypes, time
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
at = libc.shmat(libc.shmget(0, 100 << 20, 0o1600), None, 0)
ctypes.memset(at, 1, 100 << 20)
time.sleep(60)`;
    const shared = `grep -c 104857600 /proc/sysvipc/shm`;
    await run(own, `python3 -c '${share}' & until ${shared} >/dev/null; do sleep 0.1; done`);
    expect(await say(own, shared)).toBe('1\n');
    await run(own, 'kill -9 -1');
    await expect.poll(() => say(own, shared), { timeout: 5_000 }).toBe('0\n');
    await own.close();
  });

  it.each(['/dev/shm', '/run/twinpatch', '/dev/mqueue', '/dev'])(
    'T13: a file system in memory at %s takes no more than its share',
    async (folder) => {
      const output = await say(
        sandbox,
        `for n in 1 2; do dd if=/dev/zero of=${folder}/full$n bs=1M count=200; done 2>/dev/null; stat -c %s ${folder}/full* 2>/dev/null; rm -f ${folder}/full* 2>/dev/null`,
      );
      const sizes = output.split('\n').map(Number);
      expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(256 * 1024 ** 2);
      await isWell();
    },
  );
});

describe('output', () => {
  it('T16: no log grows outside, whatever is written', async () => {
    const container = suite.engine.docker.getContainer(sandbox.ref.container);
    await run(
      sandbox,
      'yes | head -c 50M; yes | head -c 1M >/proc/1/fd/1; yes | head -c 1M >/dev/console',
    );
    const { HostConfig, LogPath } = await container.inspect();
    expect(HostConfig.LogConfig?.Type).toBe('none');
    expect(LogPath).toBe('');
  });

  it.each([
    [
      'one line',
      `head -c ${count(100, 1000)}M /dev/zero | tr '\\0' x`,
      count(100, 1000) * 1024 ** 2,
    ],
    [
      'tiny writes',
      `python3 -c "
import os
for _ in range(${count(200_000, 10_000_000)}): os.write(1, b'x')"`,
      count(200_000, 10_000_000),
    ],
    ['both streams at once', 'yes e | head -c 20M >&2 & yes o | head -c 20M; wait', 40 * 1024 ** 2],
  ])(
    'T17: a flood of %s is counted, cut in the sandbox, and costs the worker nothing',
    async (_what, command, bytes) => {
      const before = process.memoryUsage().rss;
      const result = await run(sandbox, command, { timeoutMs: 120_000, maxOutputBytes: 4096 });
      expect(result).toMatchObject({ end: 'exited', outputBytes: bytes });
      expect(result.output.length).toBeLessThan(4200);
      expect(process.memoryUsage().rss - before).toBeLessThan(50 * 1024 ** 2);
    },
  );
});

describe('a tree', () => {
  it('T18: of a file beyond the limit is not written', async () => {
    const { output } = await run(
      sandbox,
      'truncate -s 1T huge; fallocate -l 300M huge; ls huge && stat -c %s huge',
    );
    expect(output).toMatch(/File (size limit exceeded|too large)/);
    expect(Number(/^(\d+)$/m.exec(output)?.[1] ?? 0)).toBeLessThanOrEqual(256 * 1024 ** 2);
  });

  it.each([
    [
      'thousands of folders deep',
      `
import os
for _ in range(${count(2000, 10_000)}):
    os.mkdir('d')
    os.chdir('d')
open('f', 'w').write('x')`,
      /deep|list can hold/,
    ],
    [
      'of very many entries',
      `
for i in range(${count(5000, 500_000)}): open(f'n{i}', 'w').close()`,
      /more than 100 changed files|list can hold/,
    ],
    [
      'with the longest names, of any bytes',
      `
import os
for i in range(200): os.close(os.open(bytes([200 + i % 50]) * 250 + str(i).encode(), os.O_CREAT))`,
      /more than 100 changed files/,
    ],
    [
      'that is a path of more than 4,096 bytes',
      `
import os
for _ in range(18):
    os.mkdir('p' * 250)
    os.chdir('p' * 250)
open('f', 'w').write('x')`,
      /a changed path longer than 4096 bytes/,
    ],
  ])(
    'T18: %s is refused whole, soon, and its sandbox still goes away',
    async (_what, program, reason) => {
      const own = await suite.start();
      expect(
        await run(own, `python3 - <<'END'${program}\nEND`, { timeoutMs: 120_000 }),
      ).toMatchObject({ exitCode: 0 });
      const since = performance.now();
      expect(await own.extractPatch(CAPS)).toEqual({
        kind: 'oversized',
        reason: expect.stringMatching(reason),
      });
      expect(performance.now() - since).toBeLessThan(count(10_000, 60_000));
      await own.close();
      expect(await suite.sandboxes.list()).not.toContainEqual(
        expect.objectContaining({ id: own.ref.container }),
      );
    },
  );
});
