import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { EngineUnavailable, type Sandbox, SandboxLost } from '../../domain/ports.ts';
import { negotiate } from '../../sandbox/api-version.ts';
import { toArchive } from '../../sandbox/archive.ts';
import { toCreateOptions } from '../../sandbox/container.ts';
import { call, connectEngine } from '../../sandbox/engine.ts';
import { createDemultiplexer, execute } from '../../sandbox/exec.ts';
import { toGuestMount } from '../../sandbox/guest-volume.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { INITIAL_SHELL } from '../../sandbox/shell.ts';
import { LIMITS } from '../support/sandbox-fixture.ts';
import { openSuite, run as runIn } from '../support/sandbox-suite.ts';

const suite = await openSuite('faults');
const { engine, imageId, installation, sandboxes, start } = suite;
let sandbox: Sandbox;

const run = (command: string, timeoutMs = 20_000, signal?: AbortSignal) =>
  runIn(sandbox, command, { timeoutMs, maxOutputBytes: 10_000 }, signal);
const asRoot = (command: string) => suite.asRoot(sandbox, command);

beforeEach(async () => {
  sandbox = await start();
});
afterEach(() => sandbox.close());
describe('a sandbox that breaks', () => {
  const handle = () => engine.docker.getContainer(sandbox.ref.container);

  it.each([
    ['is removed', () => handle().remove({ force: true })],
    ['is killed', () => handle().kill()],
    ['is paused', () => handle().pause()],
  ])('F11: is lost, not a failed command, when it %s', async (_how, harm) => {
    await harm();
    await expect(run('echo shown')).rejects.toThrow(SandboxLost);
    await expect(sandbox.readFile('/testbed/a.txt', 10)).rejects.toThrow(SandboxLost);
    await expect(sandbox.writeFile('/testbed/a.txt', Buffer.from('x'))).rejects.toThrow(
      SandboxLost,
    );
    await expect(sandbox.list('/testbed', 1)).rejects.toThrow(SandboxLost);
  });

  it.each([
    ['loses its shell', 'rm -f /bin/bash /usr/bin/bash'],
    ['may no longer start its shell', 'chmod 000 /bin/bash'],
    ['loses all its programs', 'rm -rf /bin/* /usr/bin/* 2>/dev/null'],
  ])('F11: runs no command, and says so, when it %s', async (_how, harm) => {
    await asRoot(harm);
    await expect(run('echo shown')).rejects.toThrow(SandboxLost);
    await expect(run('echo shown')).rejects.toThrow(/bash can't be started/);
  });

  it.each([
    ['is removed', () => handle().remove({ force: true })],
    ['is killed', () => handle().kill()],
  ])('F11: is lost when it %s while a command runs', async (_how, harm) => {
    const work = run('sleep 30');
    setTimeout(() => void harm(), 800);
    await expect(work).rejects.toThrow(SandboxLost);
  });

  it.each([
    'rm -rf /bin /usr/bin',
    'chmod 000 /bin/bash',
    'kill -9 1',
    'kill -9 -1',
    'umount /run/twinpatch',
    'mount -t tmpfs none /bin',
  ])('T21: is not broken by the agent with %s', async (command) => {
    await run(command);
    expect(await run('ls a.txt')).toMatchObject({ exitCode: 0, output: 'a.txt\n' });
  });
});

describe('an exec', () => {
  it('F12: gives the right exit code 96 times with 8 under way', async () => {
    const codes: number[] = [];
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let count = 0; count < 12; count++) codes.push((await asRoot('exit 7')).code);
      }),
    );
    expect(codes).toEqual(Array.from({ length: 96 }, () => 7));
  });

  it.each([
    ['no bytes', 0],
    ['one byte', 1],
    ['ten megabytes', 10 * 1024 ** 2],
  ])('F13: passes on stdin of %s and its end', async (_what, size) => {
    let output = '';
    const code = await execute(engine, sandbox.ref.container, {
      command: ['bash', '-c', 'wc -c; echo end'],
      user: '0:0',
      stdin: Buffer.alloc(size, 'x'),
      timeoutMs: 30_000,
      onOutput: (_stream, piece) => (output += piece.toString()),
    });
    expect({ code, output }).toEqual({ code: 0, output: `${size}\nend\n` });
  });

  it('F14: holds back a flood for a slow reader instead of keeping it', async () => {
    let seen = 0;
    const before = process.memoryUsage().rss;
    const enough = new Error('enough');
    const work = execute(engine, sandbox.ref.container, {
      command: ['yes'],
      user: '0:0',
      timeoutMs: 30_000,
      onOutput: (_stream, piece) => {
        seen += piece.length;
        const until = performance.now() + 2;
        while (performance.now() < until); // a reader that is slower than `yes`
        if (seen > 20 * 1024 ** 2) throw enough;
      },
    });
    await expect(work).rejects.toBe(enough);
    expect(process.memoryUsage().rss - before).toBeLessThan(60 * 1024 ** 2);
  });

  it('F9: gives up at its deadline', async () => {
    const began = Date.now();
    const work = execute(engine, sandbox.ref.container, {
      command: ['sleep', '60'],
      user: '0:0',
      timeoutMs: 500,
      onOutput: () => {},
    });
    await expect(work).rejects.toThrow(EngineUnavailable);
    expect(Date.now() - began).toBeLessThan(5000);
  });

  it('puts frames together however they are cut', async () => {
    const frame = (stream: number, text: string) => {
      const header = Buffer.alloc(8);
      header[0] = stream;
      header.writeUInt32BE(Buffer.byteLength(text), 4);
      return Buffer.concat([header, Buffer.from(text)]);
    };
    const bytes = Buffer.concat([
      frame(1, 'out 😀'),
      frame(2, ''),
      frame(2, 'err'),
      frame(1, '\x01\x00\x00\x00\x00\x00\x00\x01x'),
    ]);
    for (let size = 1; size <= bytes.length; size++) {
      const seen: Record<string, string> = { stdout: '', stderr: '' };
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      );
      const demultiplex = createDemultiplexer(
        (stream, piece) => (seen[stream] += piece.toString('latin1')),
      );
      for (const chunk of chunks) demultiplex(chunk);
      expect(seen).toEqual({
        stdout: Buffer.from('out 😀\x01\x00\x00\x00\x00\x00\x00\x01x').toString('latin1'),
        stderr: 'err',
      });
    }
  });
});

describe('a command', () => {
  it('goes on when its asker is called off, and the next asker gets its result', async () => {
    const abort = new AbortController();
    const request = {
      id: 'taken over',
      command: 'echo run >>runs; sleep 1; cat runs',
      shell: INITIAL_SHELL,
      timeoutMs: 20_000,
      maxOutputBytes: 100,
    };
    const first = sandbox.run(request, abort.signal);
    setTimeout(() => abort.abort(new Error('worker drains')), 500);
    await expect(first).rejects.toThrow('worker drains');
    const { labels } = (await sandboxes.list()).find(({ id }) => id === sandbox.ref.container)!;
    const second = await (await sandboxes.find(labels.rollout ?? '', 2, LIMITS))?.run(request);
    expect(second).toMatchObject({ end: 'exited', output: 'run\n' });
  });
});

describe('the engine', () => {
  it.each(['unix:///nowhere/docker.sock', 'tcp://127.0.0.1:1', 'ssh://host'])(
    'at %s is unavailable, with what to do',
    async (host) => {
      await expect(connectEngine({ host })).rejects.toThrow(EngineUnavailable);
      await expect(connectEngine({ host })).rejects.toThrow(/DOCKER_HOST/);
    },
  );

  it.each([
    ['1.41', '1.12', '1.41'],
    ['1.44', '1.24', '1.44'],
    ['1.52', '1.44', '1.47'],
    ['1.60', '1.50', '1.50'],
    ['1.44', undefined, '1.44'],
  ])('that offers %s and needs %s is spoken to in %s', (newest, oldest, spoken) => {
    expect(negotiate(newest, oldest)).toBe(spoken);
  });

  it('that is too old is refused', () => {
    expect(() => negotiate('1.40', '1.12')).toThrow(/Update the engine/);
  });

  it.each(['v1.99', 'v1.11'])(
    'that was replaced while %s was spoken with it is asked again in a version that it speaks',
    async (spoken) => {
      const replaced = await connectEngine();
      const { modem } = replaced.docker as { modem: { version?: string } };
      const agreed = modem.version;
      modem.version = spoken;
      const { labels } = (await sandboxes.list()).find(({ id }) => id === sandbox.ref.container)!;
      const next = createSandboxes({ engine: replaced, installation });
      const found = await next.find(labels.rollout ?? '', 3, LIMITS);
      expect(modem.version).toBe(agreed);
      expect(await found?.list('/testbed', 1)).not.toEqual([]);
      // A stream can't be sent again; whoever sent it comes again.
      modem.version = spoken;
      const send = () =>
        call('archive', () =>
          replaced.docker
            .getContainer(sandbox.ref.container)
            .putArchive(toArchive([{ name: 'x', content: 'x' }]), { path: '/tmp' }),
        );
      await expect(send()).rejects.toThrow(EngineUnavailable);
      await send();
    },
  );

  it('F22, T1: is asked for a container that can reach nothing and gains nothing', () => {
    const { HostConfig, User, Labels } = toCreateOptions({
      imageId,
      labels: { installation, role: 'rollout' },
      limits: LIMITS,
      network: false,
      guest: { command: ['guestd'], mount: toGuestMount('guest-volume', installation) },
    });
    expect(HostConfig).toMatchObject({
      NetworkMode: 'none',
      Privileged: false,
      CapDrop: ['ALL'],
      CapAdd: ['SETUID', 'SETGID'],
      SecurityOpt: ['no-new-privileges'],
      PidsLimit: LIMITS.maxProcesses,
      Memory: LIMITS.memoryBytes,
      MemorySwap: LIMITS.memoryBytes,
      LogConfig: { Type: 'none' },
    });
    expect(HostConfig).not.toHaveProperty('Binds');
    expect(HostConfig?.Mounts).toMatchObject([
      { Type: 'volume', Source: 'guest-volume', Target: '/.twinpatch', ReadOnly: true },
    ]);
    expect(User).toBe('0:0');
    expect(Labels).toMatchObject({ 'dev.twinpatch.installation': installation });
  });
});
