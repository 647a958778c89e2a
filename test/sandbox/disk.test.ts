import { afterAll, afterEach, describe, expect, it } from 'vitest';

import type { Sandbox, SandboxLimits } from '../../domain/ports.ts';
import type { DiskSpace } from '../../sandbox/disk-watch.ts';
import { connectEngine } from '../../sandbox/engine.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { INITIAL_SHELL } from '../../sandbox/shell.ts';
import { LIMITS, prepareTree, uniqueName } from '../support/sandbox-fixture.ts';

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
  signal = new AbortController().signal,
  onWaiting?: (reason: string) => void,
): Promise<Sandbox> {
  const labels = { batch: 'b', sample: 's', rollout: `b/s/rollout-1.${++started}` };
  return sandboxes.start(
    {
      imageId,
      limits: { ...LIMITS, ...limits },
      epoch: 1,
      labels,
      ...(onWaiting ? { onWaiting } : {}),
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
    const starting = start({}, undefined, (reason) => {
      reasons.push(reason);
      diskReserve.bytes = 0;
    });
    const sandbox = await starting;
    expect(reasons).toEqual([expect.stringMatching(/disk has \d+ MiB left, and \d+ MiB are kept/)]);
    await sandbox.close();
  });

  it('F21: a start that waits for room can be called off', async () => {
    diskReserve.files = 1e15;
    const abort = new AbortController();
    const starting = start({}, abort.signal, () => abort.abort(new Error('called off')));
    await expect(starting).rejects.toThrow(/called off|aborted/);
  });

  it('T15: below its reserve the sandbox that wrote most is ended, and the others go on', async () => {
    const [offender, small] = await Promise.all([start(), start()]);
    await run(offender, 'head -c 100M /dev/zero >f');
    const long = run(offender, 'sleep 50');
    const other = run(small, 'sleep 12; echo undisturbed');
    diskReserve.bytes = 1e18;
    expect(await long).toMatchObject({ end: 'disk-limit' });
    expect(await other).toMatchObject({ end: 'exited', output: 'undisturbed\n' });
    await Promise.all([offender.close(), small.close()]);
  });
});
