import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, describe, expect, it } from 'vitest';

import { DEFAULT_IMAGE } from '../../domain/config.ts';
import type { PreparedSandbox, Sandbox, SandboxLimits } from '../../domain/ports.ts';
import { connectEngine } from '../../sandbox/engine.ts';
import type { DiskSpace } from '../../sandbox/engine-disk.ts';
import { createImages } from '../../sandbox/image.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { INITIAL_SHELL } from '../../sandbox/shell.ts';
import { LIMITS, prepareTree, toTar, uniqueName } from '../support/sandbox-fixture.ts';

const installation = uniqueName('disk');
const engine = await connectEngine();
const imageId = await prepareTree(engine, installation, { 'a.txt': 'a\n' });
const diskReserve: DiskSpace = { bytes: 0, files: 0 };
const sandboxes = createSandboxes({ engine, installation, diskReserve });
let started = 0;
let requests = 0;

afterEach(() => Object.assign(diskReserve, { bytes: 0, files: 0 }));
afterAll(async () => {
  await sandboxes.removeAll();
  await sandboxes.removeVolumes();
  await sandboxes.removeImages([imageId]);
});

function start(
  limits: Partial<SandboxLimits> = {},
  options: { signal?: AbortSignal; imageId?: string; onWaiting?: (reason: string) => void } = {},
): Promise<PreparedSandbox> {
  const { signal = new AbortController().signal, ...rest } = options;
  const labels = { batch: 'b', sample: 's', rollout: `b/s/rollout-1.${++started}` };
  return sandboxes.start(
    {
      imageId,
      limits: { ...LIMITS, ...limits },
      epoch: 1,
      labels,
      ...rest,
    },
    signal,
  );
}

const run = (sandbox: Sandbox, command: string) =>
  sandbox.run({
    id: `${requests++}`,
    command,
    shell: INITIAL_SHELL,
    timeoutMs: 60_000,
    maxOutputBytes: 10_000,
  });

/** Python that fills three files, which it holds open and which have no name. */
const UNNAMED = `import os, time
held = []
for each in range(3):
    file = open('f', 'wb'); os.unlink('f'); file.write(bytes(60 << 20)); file.flush(); held.append(file)
time.sleep(50)`;

describe('what a sandbox writes', () => {
  it.each([
    [
      'T15',
      'bytes',
      { maxDiskBytes: 64 * 1024 ** 2 },
      'for i in 1 2 3; do head -c 60M /dev/zero >f$i; done; sleep 50',
    ],
    [
      'T15',
      'bytes in a closed folder',
      { maxDiskBytes: 64 * 1024 ** 2 },
      'mkdir closed; for i in 1 2 3; do head -c 60M /dev/zero >closed/f$i; done; chmod 000 closed; sleep 50',
    ],
    [
      'T15',
      'bytes outside of the repository',
      { maxDiskBytes: 64 * 1024 ** 2 },
      'for f in /var/tmp ~ /testbed; do head -c 60M /dev/zero >$f/f; done; sleep 50',
    ],
    [
      'T15',
      'bytes that have no name any more',
      { maxDiskBytes: 64 * 1024 ** 2 },
      `exec python3 -c "${UNNAMED}"`,
    ],
    [
      'T15',
      'bytes without a name, by a program that closes itself to others',
      { maxDiskBytes: 64 * 1024 ** 2 },
      `exec python3 -c "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
${UNNAMED}"`,
    ],
    [
      'T15',
      'bytes in a folder too deep to be looked into',
      { maxDiskBytes: 64 * 1024 ** 2 },
      `exec python3 -c "import os, time
for level in range(5000):
    os.mkdir('d'); os.chdir('d')
for each in range(3):
    open(str(each), 'wb').write(bytes(60 << 20))
time.sleep(50)"`,
    ],
    [
      'T15',
      'bytes of files that have many names',
      { maxDiskBytes: 64 * 1024 ** 2 },
      'for i in 1 2 3; do head -c 60M /dev/zero >f$i; for n in {1..200}; do ln f$i f$i.$n; done; done; sleep 50',
    ],
    [
      'T14',
      'files',
      { maxDiskFiles: 2000 },
      'mkdir many; cd many; for ((i = 0; i < 20000; i++)); do : >"$i"; done; sleep 50',
    ],
  ])(
    '%s: beyond its limit of %s ends the command that does it, and no other sandbox notices',
    async (_number, _what, limits, command) => {
      const [offender, neighbour] = await Promise.all([start(limits), start()]);
      const beside = run(neighbour, 'sleep 3; echo undisturbed');
      const result = await run(offender, command);
      expect(result).toMatchObject({ end: 'disk-limit', exitCode: null });
      expect(result.durationMs).toBeLessThan(40_000);
      expect(await beside).toMatchObject({ end: 'exited', output: 'undisturbed\n' });
      await Promise.all([offender.close(), neighbour.close()]);
    },
  );

  it('T15: ends a program that nobody may look into, when its sandbox is measured', async () => {
    const sandbox = await start({ maxDiskBytes: 64 * 1024 ** 2 });
    const copy = 'cp "$(readlink -f "$(command -v python3)")" /tmp/closed; chmod 111 /tmp/closed';
    const result = await run(sandbox, `${copy}; /tmp/closed -c "${UNNAMED}"; echo "ended $?"`);
    expect(result).toMatchObject({ end: 'exited', output: expect.stringMatching(/ended 137\n$/) });
    expect(result.durationMs).toBeLessThan(40_000);
    await sandbox.close();
  });

  it('T15, T62: counts and saves what is in a volume that the image declares', async () => {
    const plain = await start();
    const { Id } = (await engine.docker.getContainer(plain.ref.container).commit({
      repo: 'twinpatch/prepared',
      tag: `${installation}-volume`,
      changes: ['VOLUME /var/tmp'],
    })) as { Id: string };
    await plain.close();
    const [from, into] = await Promise.all([
      start(LIMITS, { imageId: Id }),
      start(LIMITS, { imageId: Id }),
    ]);
    await run(from, 'echo kept >/var/tmp/kept');
    expect(await into.restoreTree((await from.saveTree(1_000_000)) ?? new Uint8Array())).toBe(true);
    expect((await run(into, 'cat /var/tmp/kept')).output).toBe('kept\n');
    const offender = await start({ maxDiskBytes: 64 * 1024 ** 2 }, { imageId: Id });
    const written = 'for i in 1 2 3; do head -c 60M /dev/zero >/var/tmp/f$i; done; sleep 50';
    expect(await run(offender, written)).toMatchObject({ end: 'disk-limit' });
    await Promise.all([from.close(), into.close(), offender.close()]);
    await sandboxes.removeImages([Id]);
  });

  it('T15: is counted also between commands, where one left something that writes', async () => {
    const offender = await start({ maxDiskBytes: 64 * 1024 ** 2 });
    const writer = 'for n in 1 2 3; do sleep 1; head -c 60M /dev/zero >f$n; done; sleep 600';
    expect(await run(offender, `(${writer}) & sleep 0.1`)).toMatchObject({ background: true });
    const { container } = offender.ref;
    const processes = async () => (await engine.docker.getContainer(container).top()).Processes;
    expect((await processes()).length).toBeGreaterThan(2);
    // Nobody asks it anything meanwhile.
    await expect.poll(async () => (await processes()).length, { timeout: 60_000 }).toBe(1);
    expect(await run(offender, 'echo here')).toMatchObject({ end: 'disk-limit' });
    await offender.close();
  });

  it('T15: counts what many short commands write, and runs nothing more beyond the limit', async () => {
    const sandbox = await start({ maxDiskBytes: 64 * 1024 ** 2 });
    const ends: string[] = [];
    for (let file = 0; file < 20 && !ends.includes('disk-limit'); file++)
      ends.push((await run(sandbox, `head -c 12M /dev/zero >f${file}; sleep 0.3`)).end);
    expect(ends.slice(0, 3)).toEqual(['exited', 'exited', 'exited']);
    expect(ends.at(-1)).toBe('disk-limit');
    expect(await run(sandbox, 'echo more >more')).toMatchObject({ end: 'disk-limit', output: '' });
    await sandbox.close();
  });

  it('T15: finds what a sandbox writes while others give as much back', async () => {
    const [offender, other] = await Promise.all([start({ maxDiskBytes: 64 * 1024 ** 2 }), start()]);
    await run(other, 'for i in 1 2 3 4; do head -c 200M /dev/zero >f$i; done');
    const writing = run(
      offender,
      'sleep 1.5; for i in 1 2 3; do head -c 60M /dev/zero >f$i; done; sleep 50',
    );
    await run(other, 'sleep 1; rm f*');
    expect(await writing).toMatchObject({ end: 'disk-limit' });
    await Promise.all([offender.close(), other.close()]);
  });

  it('does not count what is deleted again', async () => {
    const sandbox = await start({ maxDiskBytes: 128 * 1024 ** 2 });
    for (let round = 0; round < 4; round++) {
      const written = await run(sandbox, 'head -c 90M /dev/zero >f; sleep 1.5; rm f');
      expect(written).toMatchObject({ end: 'exited', exitCode: 0 });
    }
    await sandbox.close();
  });
});

describe("the engine's disk", () => {
  it('F21: below its reserve nothing is started, says why, and starts by itself when there is room', async () => {
    diskReserve.bytes = 1e18;
    const reasons: string[] = [];
    const starting = start(
      {},
      {
        onWaiting: (reason) => {
          reasons.push(reason);
          diskReserve.bytes = 0;
        },
      },
    );
    const sandbox = await starting;
    expect(reasons).toEqual([expect.stringMatching(/disk has \d+ MiB left, and \d+ MiB are kept/)]);
    await sandbox.close();
  });

  it('F21: a start that waits for room can be called off', async () => {
    diskReserve.files = 1e15;
    const abort = new AbortController();
    const onWaiting = () => abort.abort(new Error('called off'));
    const starting = start({}, { signal: abort.signal, onWaiting });
    await expect(starting).rejects.toThrow(/called off|aborted/);
  });

  it('F21, T61: below its reserve no image is prepared, and a set-up that fills it is ended', async () => {
    const images = createImages(engine, { installation, diskReserve });
    const prepare = (command: string) =>
      images.prepare(
        {
          key: `${installation}-filled`,
          base: { image: DEFAULT_IMAGE },
          snapshot: async () => toTar({ 'a.txt': 'a\n' }),
          setup: [command],
          limits: LIMITS,
          setupTimeoutMs: 120_000,
        },
        new AbortController().signal,
      );
    const full = {
      name: 'EngineUnavailable',
      message: expect.stringMatching(/No image is prepared: the engine's disk has \d+ MiB left/),
    };
    const preparing = async () =>
      (await sandboxes.list()).filter(({ labels }) => labels.role === 'prepare').length;
    diskReserve.bytes = 1e18;
    await expect(prepare('true')).rejects.toMatchObject(full);
    diskReserve.bytes = 0;
    const filling = prepare('yes >/filled & sleep 100');
    await expect.poll(preparing, { timeout: 30_000 }).toBe(1);
    await sleep(3000);
    diskReserve.bytes = 1e18;
    await expect(filling).rejects.toMatchObject(full);
    expect(await preparing()).toBe(0);
  });

  it('T15: below its reserve the sandbox that wrote most is ended, and the others go on', async () => {
    const [offender, small] = await Promise.all([start(), start()]);
    const long = run(offender, `exec python3 -c "${UNNAMED}"`);
    const other = run(small, 'head -c 70M /dev/zero >f; sleep 12; echo undisturbed');
    await sleep(2000);
    diskReserve.bytes = 1e18;
    expect(await long).toMatchObject({ end: 'disk-limit' });
    expect(await other).toMatchObject({ end: 'exited', output: 'undisturbed\n' });
    await Promise.all([offender.close(), small.close()]);
  });
});
