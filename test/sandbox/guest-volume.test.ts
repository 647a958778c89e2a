/** The volume that brings guestd into sandboxes: whole whenever somebody uses it, and nothing inside can change it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from 'vitest';

import { toEngineLabels } from '../../domain/ids.ts';
import { connectEngine, type Engine } from '../../sandbox/engine.ts';
import { ensureGuestVolume, toGuestMount } from '../../sandbox/guest-volume.ts';
import { createReaper } from '../../sandbox/reaper.ts';
import { DEFAULT_IMAGE } from '../../domain/config.ts';
import { toTar, uniqueName } from '../support/sandbox-fixture.ts';

const PROCESS = fileURLToPath(new URL('../support/guest-volume-process.ts', import.meta.url));
const installation = uniqueName('guest-volume');
const neighbour = `${installation}-neighbour`;
const LABELS = toEngineLabels({ installation, role: 'guest' });
const engine = await connectEngine();
const reaper = createReaper({ engine, installation });
const ensure = (as: Engine = engine) => ensureGuestVolume(as, installation, DEFAULT_IMAGE);
/** As in another process: nothing is known of what was looked at before. */
const another = (): Engine => ({ ...engine });

afterEach(async () => {
  await reaper.removeAll();
  await reaper.removeVolumes();
});
afterAll(() => createReaper({ engine, installation: neighbour }).removeVolumes());

describe('the volume of guestd', () => {
  it('has one name for everybody, is ours, and holds what sandboxes start with', async () => {
    const volume = await ensure();
    expect(volume).toMatch(/^twinpatch-[0-9a-f]{8}-guestd-[0-9a-f]{12}$/);
    const inode = await runIn(volume, ['stat', '-c', '%i', '/.twinpatch/guestd']);
    expect(await ensure(another())).toBe(volume);
    // A sandbox that starts meanwhile finds it in its place.
    expect(await runIn(volume, ['stat', '-c', '%i', '/.twinpatch/guestd'])).toBe(inode);
    expect(await reaper.listVolumes()).toEqual([volume]);
    expect(await runIn(volume, ['/.twinpatch/guestd', 'version'])).toBe('guestd 1\n');
    expect(await reaper.list()).toEqual([]);
  });

  it('can not be changed by root of a sandbox', async () => {
    const attack =
      'exec 2>&1; cd /.twinpatch; echo x >guestd; rm -f guestd; mv guestd g; cp /bin/true new; chmod 777 guestd; ' +
      'mount -o remount,rw /.twinpatch; umount /.twinpatch; ls -A; stat -c "%a %u" guestd; ./guestd version';
    const said = await runIn(await ensure(), ['sh', '-c', attack]);
    expect(said.match(/Read-only file system/g)).toHaveLength(5);
    expect(said.split('\n').slice(-4)).toEqual(['guestd', '755 0', 'guestd 1', '']);
  });

  it('takes in nothing that an image has at its place', async () => {
    const container = await engine.docker.createContainer({ Image: DEFAULT_IMAGE, Cmd: ['true'] });
    await container.putArchive(toTar({ '.twinpatch/own': 'x' }), { path: '/' });
    const { Id: image } = (await container.commit()) as { Id: string };
    try {
      const volume = await ensureGuestVolume(another(), installation, image);
      expect(await runIn(volume, ['ls', '-A', '/.twinpatch'], { image })).toBe('guestd\n');
    } finally {
      await container.remove({ v: true });
      await engine.docker.getImage(image).remove();
    }
  });

  it('costs the second call of a process nothing', async () => {
    await ensure();
    const start = performance.now();
    for (let call = 0; call < 40; call += 1) await ensure();
    expect(performance.now() - start).toBeLessThan(2_000);
  });

  it('is made again for a process whose volume was removed, or replaced by an empty one', async () => {
    const volume = await ensure();
    await reaper.removeVolumes();
    await ensure();
    expect(await runIn(volume, ['/.twinpatch/guestd', 'version'])).toBe('guestd 1\n');
    await reaper.removeVolumes();
    await sleep(1_100); // the engine tells its time in seconds
    await engine.docker.createVolume({ Name: volume, Labels: LABELS });
    await ensure();
    expect(await runIn(volume, ['/.twinpatch/guestd', 'version'])).toBe('guestd 1\n');
  });

  it('is repaired where the file in it is not whole', async () => {
    const volume = await ensure();
    await runIn(volume, ['truncate', '-s', '5000', '/.twinpatch/guestd'], { readOnly: false });
    await ensure(another());
    await runIn(volume, ['chmod', '644', '/.twinpatch/guestd'], { readOnly: false });
    await ensure(another());
    expect(await runIn(volume, ['/.twinpatch/guestd', 'version'])).toBe('guestd 1\n');
  });

  it('is whole for each of several processes that come at once', async () => {
    const engines = Array.from({ length: 6 }, another);
    const said = await Promise.all(
      engines.map(async (as) => runIn(await ensure(as), ['/.twinpatch/guestd', 'version'])),
    );
    expect(said).toEqual(engines.map(() => 'guestd 1\n'));
    expect(await reaper.list()).toEqual([]);
  });

  it.each([0, 40, 100, 180])(
    'is whole for the next process when one is killed %i ms after it began',
    async (delayMs) => {
      const child = spawn(
        process.execPath,
        ['--import', 'tsx', PROCESS, installation, DEFAULT_IMAGE],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      await once(createInterface({ input: child.stdout }), 'line');
      await sleep(delayMs);
      await kill(child);
      const start = performance.now();
      const volume = await ensure(another());
      expect(performance.now() - start).toBeLessThan(10_000);
      expect(await runIn(volume, ['/.twinpatch/guestd', 'version'])).toBe('guestd 1\n');
      expect(await reaper.list()).toEqual([]);
    },
  );

  it('is another one for an engine of another architecture, and refused where guestd does not run', async () => {
    const arm64 = await ensure({ ...engine, architecture: 'aarch64' });
    const x86 = await ensure({ ...engine, architecture: 'x86_64' });
    expect(arm64).not.toBe(x86);
    await expect(ensure({ ...engine, architecture: 'riscv64' })).rejects.toMatchObject({
      name: 'ImageError',
      message: expect.stringContaining("the Docker engine's host is riscv64") as string,
    });
  });

  it('tries again after a failure', async () => {
    const as = another();
    await expect(ensureGuestVolume(as, installation, 'twinpatch/none')).rejects.toMatchObject({
      statusCode: 404,
    });
    const volume = await ensure(as);
    expect(await reaper.listVolumes()).toEqual([volume]);
  });
});

describe('removing volumes of guestd', () => {
  it('removes those of this installation that no container has', async () => {
    const theirs = await ensureGuestVolume(engine, neighbour, DEFAULT_IMAGE);
    const current = await ensure();
    const old = ['old-1', 'old-2'].map((version) => current.replace(/[^-]+$/, version));
    for (const Name of old) await engine.docker.createVolume({ Name, Labels: LABELS });
    const user = await create(old[0] ?? '', ['true']);
    expect(await reaper.removeVolumes(current)).toEqual([old[1]]);
    expect(new Set(await reaper.listVolumes())).toEqual(new Set([current, old[0]]));
    await user.remove({ v: true });
    expect(new Set(await reaper.removeVolumes())).toEqual(new Set([current, old[0]]));
    await expect(engine.docker.getVolume(theirs).inspect()).resolves.toBeDefined();
  });
});

// --- internal ---

async function create(
  volume: string,
  command: string[],
  { image = DEFAULT_IMAGE, readOnly = true } = {},
) {
  return engine.docker.createContainer({
    Image: image,
    Entrypoint: command,
    User: '0:0',
    HostConfig: { NetworkMode: 'none', Mounts: [toGuestMount(volume, installation, { readOnly })] },
  });
}

/** What a command says in a container that has the volume, as sandboxes have it unless told otherwise. */
async function runIn(
  volume: string,
  command: string[],
  options?: Parameters<typeof create>[2],
): Promise<string> {
  const container = await create(volume, command, options);
  try {
    await container.start();
    await container.wait();
    return toText(await container.logs({ stdout: true, stderr: true }));
  } finally {
    await container.remove({ force: true, v: true });
  }
}

/** The text of frames that have eight bytes before it, the last four of them its length. */
function toText(frames: Buffer): string {
  let text = '';
  for (let at = 0; at < frames.length; at += 8 + frames.readUInt32BE(at + 4))
    text += frames.toString('utf8', at + 8, at + 8 + frames.readUInt32BE(at + 4));
  return text;
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  if (child.exitCode === null && child.kill('SIGKILL')) await ended;
}
