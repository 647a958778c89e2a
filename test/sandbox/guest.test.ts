/** guestd on a real engine: what a hostile agent, a broken owner and mere numbers can not do to it. */

import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { CommandRequest, PreparedSandbox } from '../../domain/ports.ts';
import { toRunFields } from '../../sandbox/command.ts';
import { whyLost } from '../../sandbox/container.ts';
import { connectGuest, type GuestConnection } from '../../sandbox/guest.ts';
import { INITIAL_SHELL } from '../../sandbox/shell.ts';
import { GUEST_ERROR, REQUEST, toFrame } from '../../sandbox/wire.ts';
import { LIMITS } from '../support/sandbox-fixture.ts';
import { openSuite } from '../support/sandbox-suite.ts';

const { engine, start } = await openSuite('guest');
const CAPS = { maxBytes: 1024 ** 2, maxEntries: 100, maxDepth: 20, timeoutMs: 60_000 };
let requests = 0;
let sandbox: PreparedSandbox;

beforeEach(async () => {
  sandbox = await start();
});
afterEach(() => sandbox.close());

function toRequest(command: string, options: Partial<CommandRequest> = {}): CommandRequest {
  const id = `command-${requests++}`;
  return { id, command, shell: INITIAL_SHELL, timeoutMs: 20_000, maxOutputBytes: 4000, ...options };
}

const run = (command: string, options?: Partial<CommandRequest>) =>
  sandbox.run(toRequest(command, options));

/** Kills processes by their name, all or those whose pid stands so to a number: no image has to have a program for it. */
function killAll(name: string, which = '-gt 1'): string {
  return `for p in /proc/[0-9]*; do [ "$(cat $p/comm)" = ${name} ] && [ $(basename $p) ${which} ] && kill -9 $(basename $p); done`;
}

async function timed<T>(work: Promise<T>): Promise<{ value: T; ms: number }> {
  const since = performance.now();
  return { value: await work, ms: performance.now() - since };
}

describe('a command', () => {
  it('leaves nothing that writes into its output and works on when it is over', async () => {
    const writers = 'for i in 1 2 3; do yes & done; (while :; do echo x; done) &';
    const { value, ms } = await timed(run(`${writers} sleep 0.3`, { maxOutputBytes: 1000 }));
    expect(value).toMatchObject({ end: 'exited', exitCode: 0 });
    expect(ms).toBeLessThan(10_000);
    await sleep(200);
    const { output } = await run('sleep 0.2; cat /proc/[0-9]*/comm');
    // Its own shell, and the one that waits for the next command.
    expect(output.match(/yes|bash/g)).toEqual(['bash', 'bash']);
  });

  it.each(['kill -9 -1', killAll('bash'), `trap '${killAll('bash', '-lt $$')}' EXIT; true`])(
    'is followed by the next one also when it ends the shell that waits for that: %s',
    async (command) => {
      for (let round = 0; round < 20; round++) {
        await run(command);
        expect(await run('echo here')).toMatchObject({
          end: 'exited',
          exitCode: 0,
          output: 'here\n',
        });
      }
    },
  );

  it('runs once, whatever it does to the descriptors that its shell began with', async () => {
    const back = `python3 -c 'import os
for fd in range(3, 256):
    try: os.lseek(fd, 0, 0)
    except OSError: pass'`;
    for (let round = 0; round < 3; round++)
      expect(await run(`echo x >>counter; ${back}; kill -9 $$`)).toMatchObject({ exitCode: 137 });
    expect((await run('cat counter')).output).toBe('x\nx\nx\n');
  });

  it('is run also when the shell that waited for it was stopped', async () => {
    await run('(sleep 0.3; kill -STOP -1) &');
    await sleep(800);
    expect(await run('echo here', { timeoutMs: 5000 })).toMatchObject({ output: 'here\n' });
    await run('kill -9 -1');
  });

  it.each(['kill -STOP -1', 'kill -9 -1'])(
    'that leaves a loop of %s costs no request about files anything, and at most one more command',
    async (attack) => {
      await run(`(while :; do ${attack}; done) >/dev/null 2>&1 & sleep 0`, { timeoutMs: 3000 });
      const large = Buffer.alloc(3_000_000, 'x');
      await sandbox.writeFile('/testbed/large', large);
      const read = await sandbox.readFile('/testbed/large', large.length);
      expect(read.kind === 'file' && Buffer.compare(read.bytes, large)).toBe(0);
      const first = await timed(run('echo x', { timeoutMs: 1000 }));
      expect(first.ms).toBeLessThan(15_000);
      expect(await run('echo x; ls -A')).toMatchObject({
        exitCode: 0,
        output: 'x\n.git\na.txt\nlarge\n',
      });
    },
  );

  it('runs beside others, each with its own output, and a limit that passes ends all of them', async () => {
    const many = Array.from({ length: 12 }, (_, index) => run(`sleep 0.2; echo ${index}`));
    const outputs = (await Promise.all(many)).map(({ output }) => output);
    expect(outputs).toEqual(many.map((_, index) => `${index}\n`));
    const sleepers = Array.from({ length: 12 }, (_, index) =>
      run('sleep 60', { timeoutMs: index === 5 ? 500 : 30_000 }),
    );
    const { value, ms } = await timed(Promise.all(sleepers));
    expect(value.filter(({ end }) => end === 'timed-out')).toHaveLength(1);
    expect(value.filter(({ exitCode }) => exitCode === 137)).toHaveLength(11);
    expect(ms).toBeLessThan(20_000);
  });
});

describe('what a sandbox takes', () => {
  it('is told while it runs: processes, memory, and what the kernel killed for memory', async () => {
    const hold = `python3 -c 'import time; x = b"x" * (100 << 20); open("/tmp/held", "w"); time.sleep(60)'`;
    await run(`${hold} & until [ -e /tmp/held ]; do sleep 0.1; done; sleep 2.5`);
    const holding = sandbox.usage();
    expect(holding?.memoryBytes).toBeGreaterThan(100 * 1024 ** 2);
    expect(holding?.memoryBytes).toBeLessThan(LIMITS.memoryBytes);
    expect(holding?.tasks).toBeGreaterThanOrEqual(3);
    expect(holding?.memoryKills).toBe(0);
    await run(`python3 -c 'x = bytearray(${2 * LIMITS.memoryBytes})'`);
    await run(`${killAll('python3')}; sleep 2.5`);
    const freed = sandbox.usage();
    expect(freed?.memoryKills).toBeGreaterThan(0);
    expect(freed?.memoryBytes).toBeLessThan(100 * 1024 ** 2);
    expect(freed?.tasks).toBeLessThan(holding?.tasks ?? 0);
  });
});

describe('files', () => {
  it('are put into folders as open as those of a command', async () => {
    await sandbox.writeFile('/testbed/new/folder/file', Buffer.from('x'));
    expect((await run('stat -c %a new new/folder new/folder/file')).output).toBe('755\n755\n644\n');
  });

  it('can be read when what was left behind has taken every process there may be', async () => {
    await run('(sleep 0.5; bomb() { bomb | bomb & }; bomb) >/dev/null 2>&1 &');
    await sleep(2000);
    expect(await sandbox.readFile('/testbed/a.txt', 10)).toMatchObject({ kind: 'file', size: 2 });
    expect((await run('echo ok')).output).toBe('ok\n');
  });

  it('that are asked for meanwhile cost no command its processes, when it has all there may be', async () => {
    const command = run(`python3 -c 'import os, time
while True:
    try:
        if os.fork() == 0:
            time.sleep(3)
            os._exit(0)
    except BlockingIOError:
        break
time.sleep(3)
print("alive")'`);
    await sleep(1000);
    const read = sandbox.readFile('/testbed/a.txt', 10).catch(String);
    expect(await command).toMatchObject({ exitCode: 0, output: 'alive\n' });
    await read;
  });

  it('that are larger than an answer are read as far as one holds', async () => {
    await run('truncate -s 100M large');
    const read = await sandbox.readFile('/testbed/large', 2 ** 32);
    expect(read).toMatchObject({ kind: 'file', size: 100 * 1024 ** 2, truncated: true });
    await expect(sandbox.writeFile('/testbed/x', Buffer.alloc(33 * 1024 ** 2))).rejects.toThrow(
      /larger than/,
    );
    expect((await run('echo ok')).output).toBe('ok\n');
  });

  it('with names as long as they may be, closed folders and trees without a bottom are no trouble', async () => {
    const { output } = await run(
      `name=$(printf '%0255d' 0); mkdir closed; echo in >closed/in; echo >"$name"; mkdir -p "$name.d" 2>/dev/null; chmod 000 closed
python3 -c 'import os
for level in range(2000):
    os.mkdir("deep"); os.chdir("deep")'`,
      { timeoutMs: 60_000 },
    );
    expect(output).toBe('');
    const listed = await sandbox.list('/testbed', 1000);
    expect(listed?.map(({ path }) => path.length)).toContain(255);
    expect(listed?.map(({ path }) => path)).toContain('closed');
    expect(await sandbox.readFile('/testbed/closed/in', 10)).toMatchObject({ kind: 'refused' });
    expect(await sandbox.extractPatch(CAPS)).toMatchObject({ kind: 'oversized' });
  });
});

describe('what a relay sends', () => {
  const hello = toFrame(REQUEST.hello, 1, [{ u32: 1 }, { u64: 1 }, { u32: 60_000 }, { u32: 0 }]);
  const list = [{ text: '/testbed' }, { u32: 1 }, { u32: 1000 }];
  const tooLong = Buffer.concat([Buffer.from([255, 255, 255, 255]), Buffer.alloc(1000)]);
  const rubbish = Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 211 + 7) & 255));

  it.each<[string, Buffer[], number?]>([
    ['rubbish', [rubbish]],
    ['rubbish after a hello', [hello, rubbish]],
    ['a frame of 4 GB', [tooLong]],
    ['a frame of 4 GB after a hello', [hello, tooLong]],
    ['nothing, ten times over', [], 10],
    ['half a frame, ten times over', [hello.subarray(0, 7)], 10],
    ['a request before a hello', [toFrame(REQUEST.stop, 1, [])]],
    ['1,000 hellos whose answers it does not read', Array.from({ length: 1000 }, () => hello)],
    [
      'every request with an empty body',
      [
        hello,
        ...Object.values(REQUEST).flatMap((type) =>
          // Those are whole without a body, and last.
          [REQUEST.stop, REQUEST.limit, REQUEST.end].includes(type as never)
            ? []
            : [toFrame(type, 2, [])],
        ),
      ],
    ],
    [
      'more requests at once than the guest has room for',
      [hello, ...Array.from({ length: 300 }, (_, index) => toFrame(REQUEST.list, index + 2, list))],
    ],
  ])('can not keep the next owner out: %s', async (_what, frames, count = 1) => {
    const relays = await Promise.all(Array.from({ length: count }, () => openRelay()));
    for (const relay of relays) relay.write(Buffer.concat(frames));
    await sleep(300);
    const { value, ms } = await timed(run('echo ok'));
    expect(value).toMatchObject({ output: 'ok\n' });
    expect(ms).toBeLessThan(20_000);
    for (const relay of relays) relay.destroy();
    expect((await run('echo again')).output).toBe('again\n');
  });
});

describe('an owner', () => {
  const own = (epoch = 1) =>
    connectGuest(engine, sandbox.ref.container, { epoch, leaseMs: 60_000, environment: {} });
  const ask = (owner: GuestConnection, request: CommandRequest) =>
    owner.request(REQUEST.run, toRunFields(request), (body) => body.u8());

  it('that is replaced is told at once, also when it started the sandbox', async () => {
    await run('true');
    const running = run('sleep 2; echo once');
    await sleep(300);
    const other = await own();
    other.close();
    const { value, ms } = await timed(running);
    expect(value).toMatchObject({ output: 'once\n' });
    expect(ms).toBeLessThan(10_000);
  });

  it('that never acknowledges fills nothing: the oldest results go', async () => {
    const owner = await own();
    const asked = Array.from({ length: 80 }, () => toRequest('true'));
    for (const request of asked) await ask(owner, request);
    const again = await Promise.allSettled(asked.map((request) => ask(owner, request)));
    const kept = again.filter(({ status }) => status === 'fulfilled').length;
    expect(kept).toBe(64);
    expect(
      again.slice(0, 80 - kept).map((one) => one.status === 'rejected' && one.reason.code),
    ).toEqual(Array.from({ length: 80 - kept }, () => GUEST_ERROR.forgotten));
    owner.close();
  });

  it('that asks for more than an answer holds is told so, and stays connected', async () => {
    await run('truncate -s 100M large');
    const owner = await own();
    const fields = [{ text: '/testbed/large' }, { u64: 0 }, { u32: 2 ** 32 - 1 }];
    await expect(owner.request(REQUEST.read, fields, () => 0)).rejects.toMatchObject({
      code: GUEST_ERROR.tooMuch,
    });
    expect(await ask(owner, toRequest('true'))).toBe(0);
    owner.close();
  });

  it('that ends the sandbox leaves it to nobody, and it goes by itself when it is left', async () => {
    const owner = await own();
    await owner.request(REQUEST.end, [], () => undefined);
    const next = await own(2);
    await expect(ask(next, toRequest('true'))).rejects.toMatchObject({ code: GUEST_ERROR.stopped });
    await next.request(REQUEST.end, [], () => undefined);
    const { State } = await engine.docker.getContainer(sandbox.ref.container).inspect();
    expect(State.Running).toBe(true);
    next.close();
    await expect
      .poll(() => whyLost(engine, sandbox.ref.container), { timeout: 10_000 })
      .toBe('it ended with code 0');
  });

  it('can have any number of commands without the guest growing', async () => {
    const residentKb = async () =>
      Number(/VmRSS:\s+(\d+)/.exec((await run('cat /proc/1/status')).output)?.[1]);
    const many = async (count: number) => {
      for (let index = 0; index < count; index++) {
        await run('echo x');
        await sandbox.readFile('/testbed/a.txt', 10);
      }
    };
    await many(50);
    const before = await residentKb();
    await many(200);
    expect((await residentKb()) - before).toBeLessThan(100);
  });
});

// --- internal ---

/** A relay that has not said hello. */
async function openRelay(): Promise<Duplex> {
  const exec = await engine.docker.getContainer(sandbox.ref.container).exec({
    Cmd: ['/.twinpatch/guestd', 'relay'],
    User: '0:0',
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
  });
  const stream: Duplex = await exec.start({ hijack: true, stdin: true });
  stream.on('error', () => {});
  return stream;
}
