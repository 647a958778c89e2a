/**
 * How guestd comes into sandboxes: in a named volume per installation and version, mounted read-only. Root inside can't replace
 * it, it needs nothing of the image, and works on remote engines.
 */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

import type Docker from 'dockerode';
import type { VolumeInspectInfo } from 'dockerode';
import tar from 'tar-stream';

import { GUEST_FOLDER, type Labels, toEngineLabels } from '../domain/ids.ts';
import { EngineUnavailable, ImageError } from '../domain/ports.ts';
import { toArchive } from './archive.ts';
import { type ContainerGuest, ownName, removeContainer } from './container.ts';
import { call, type Engine, statusOf } from './engine.ts';
import { toGuestCommand } from './guest.ts';

/** Beside this file's folder when built, in `dist` when run from source. */
const BINARIES = new URL(
  import.meta.url.endsWith('.ts') ? '../dist/guest/' : '../guest/',
  import.meta.url,
);
/** Architectures by the names that engines give them. */
const ARCHITECTURES: Record<string, string> = {
  x86_64: 'x86_64',
  amd64: 'x86_64',
  aarch64: 'aarch64',
  arm64: 'aarch64',
};
const FILE = 'guestd';
const MODE = 0o755;

/** Filling takes a fifth of a second; whoever has not done it by then is dead, or tries again. */
const PATIENCE_MS = 1_000;
const GIVE_UP_MS = 60_000;

interface FilledVolume {
  name: string;
  /** Changes with what is in the volume, and with its being another one of the same name. */
  createdAt: string | undefined;
}

/** What this process has looked at, by installation. */
const known = new WeakMap<Engine, Map<string, Promise<FilledVolume>>>();

/**
 * The name of the volume that holds this version's guestd for the engine's architecture: made and filled where it isn't, with a
 * container of any image (`imageId`) that is never started. Any number of processes may call it at once, and be killed in it.
 * Its content is looked at once per process; later calls only ask whether it is still the same volume (1 ms).
 * Throws ImageError where guestd can't run, EngineUnavailable, and other answers of the engine (404: there is no such image).
 */
export async function ensureGuestVolume(
  engine: Engine,
  installation: string,
  imageId: string,
): Promise<string> {
  const volumes = known.get(engine) ?? new Map<string, Promise<FilledVolume>>();
  known.set(engine, volumes);
  const earlier = volumes.get(installation);
  if (earlier !== undefined && (await isStillThere(engine, earlier))) return (await earlier).name;
  const latest = volumes.get(installation);
  const filling = latest && latest !== earlier ? latest : fill(engine, installation, imageId);
  volumes.set(installation, filling);
  return (await filling).name;
}

/** The name of the volume with this version's guestd, whether it is there or not. Throws ImageError where guestd can't run. */
export async function guestVolumeName(engine: Engine, installation: string): Promise<string> {
  const binary = await guestBinary(engine.architecture);
  const version = createHash('sha256').update(binary).digest('hex').slice(0, 12);
  return ownName(installation, `${FILE}-${version}`);
}

/** The guest of a container that is to be started from an image; it ends when no owner has come for `leaseMs`. */
export async function guestOf(
  engine: Engine,
  installation: string,
  imageId: string,
  leaseMs: number,
): Promise<ContainerGuest> {
  const volume = await ensureGuestVolume(engine, installation, imageId);
  return { command: toGuestCommand(leaseMs), mount: toGuestMount(volume, installation) };
}

/** The mount of a guest volume, read-only unless it is to be filled; nothing that an image has at that place gets into it. */
export function toGuestMount(
  volume: string,
  installation: string,
  options: { readOnly: boolean } = { readOnly: true },
): Docker.MountSettings {
  return {
    Type: 'volume',
    Source: volume,
    Target: GUEST_FOLDER,
    ReadOnly: options.readOnly,
    // The engine makes a missing volume at a mount: with our labels then, too.
    VolumeOptions: {
      NoCopy: true,
      Labels: toEngineLabels(guestLabels(installation)),
    } as NonNullable<Docker.MountSettings['VolumeOptions']>,
  };
}

// --- internal ---

function guestLabels(installation: string): Labels {
  return { installation, role: 'guest' };
}

async function guestBinary(architecture: string): Promise<Buffer> {
  const name = ARCHITECTURES[architecture];
  if (name === undefined) {
    throw new ImageError(
      'build-failed',
      `Sandboxes run on x86_64 and aarch64, and the Docker engine's host is ${architecture}. Let DOCKER_HOST name an engine on one of those.`,
    );
  }
  try {
    return await readFile(new URL(`${FILE}-${name}`, BINARIES));
  } catch (error) {
    throw new ImageError(
      'build-failed',
      `The guest process of sandboxes is missing (dist/guest/${FILE}-${name}). Run \`node scripts/setup.mjs guestd\`.`,
      { cause: error },
    );
  }
}

/**
 * The container that fills has a fixed name, so there is one at a time. It looks before it writes, and a volume is used only
 * after such a look: so no file is replaced under a sandbox. Whoever loses its container to an impatient one begins again.
 */
async function fill(engine: Engine, installation: string, imageId: string): Promise<FilledVolume> {
  const binary = await guestBinary(engine.architecture);
  const name = await guestVolumeName(engine, installation);
  const deadline = performance.now() + GIVE_UP_MS;
  for (let patienceMs = PATIENCE_MS; performance.now() < deadline; patienceMs *= 2) {
    const container = await createFiller(engine, installation, imageId, name);
    if (container === undefined) {
      await waitForOther(engine, name, patienceMs);
      continue;
    }
    try {
      if (!(await holds(engine, container, binary))) await write(engine, container, binary);
      if (await holds(engine, container, binary))
        return { name, createdAt: await createdAtOf(engine, name) };
    } catch (error) {
      if (statusOf(error) !== 404) throw error;
    } finally {
      await removeContainer(engine, container);
    }
  }
  throw new EngineUnavailable(
    `The volume ${name} could not be filled in ${GIVE_UP_MS / 1000} s. Look at what the Docker engine logs, and whether its disk is full.`,
  );
}

/** Undefined while another process has the name. */
async function createFiller(
  engine: Engine,
  installation: string,
  imageId: string,
  name: string,
): Promise<string | undefined> {
  try {
    const { id } = await call('container create', (abortSignal) =>
      engine.docker.createContainer({
        name,
        Image: imageId,
        Entrypoint: [`${GUEST_FOLDER}/${FILE}`],
        Labels: toEngineLabels({ ...guestLabels(installation), process: engine.process }),
        HostConfig: {
          NetworkMode: 'none',
          Mounts: [toGuestMount(name, installation, { readOnly: false })],
        },
        abortSignal,
      }),
    );
    return id;
  } catch (error) {
    if (statusOf(error) === 409) return undefined;
    throw error;
  }
}

/** Until the other one's container is gone; one that stays for too long is removed. */
async function waitForOther(engine: Engine, name: string, patienceMs: number): Promise<void> {
  const other = engine.docker.getContainer(name);
  const deadline = performance.now() + patienceMs;
  try {
    while (performance.now() < deadline) {
      await call('container inspect', (abortSignal) => other.inspect({ abortSignal }));
      await sleep(50);
    }
  } catch (error) {
    if (statusOf(error) === 404) return;
    throw error;
  }
  await removeContainer(engine, name);
}

async function write(engine: Engine, container: string, binary: Buffer): Promise<void> {
  const archive = toArchive([{ name: FILE, mode: MODE, uid: 0, gid: 0, content: binary }]);
  await call('archive', (abortSignal) =>
    engine.docker.getContainer(container).putArchive(archive, { path: GUEST_FOLDER, abortSignal }),
  );
}

/** Whether the volume of a container holds this binary, whole and executable. */
async function holds(engine: Engine, container: string, binary: Buffer): Promise<boolean> {
  try {
    const stream = await call('archive', (abortSignal) =>
      engine.docker
        .getContainer(container)
        .getArchive({ path: `${GUEST_FOLDER}/${FILE}`, abortSignal }),
    );
    let isWhole = false;
    for await (const entry of stream.pipe(tar.extract())) {
      const { type, size, mode } = entry.header;
      const isLike = type === 'file' && size === binary.length && (mode & 0o7777) === MODE;
      isWhole = isLike && binary.equals(await buffer(entry));
      entry.resume();
    }
    return isWhole;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}

function isStillThere(engine: Engine, filling: Promise<FilledVolume>): Promise<boolean> {
  return filling.then(
    async ({ name, createdAt }) =>
      createdAt !== undefined && (await createdAtOf(engine, name)) === createdAt,
    () => false, // what it failed of, its own caller has heard
  );
}

/** Undefined where there is no such volume. */
async function createdAtOf(engine: Engine, name: string): Promise<string | undefined> {
  try {
    const volume: VolumeInspectInfo & { CreatedAt?: string } = await call(
      'volume inspect',
      (abortSignal) => engine.docker.getVolume(name).inspect({ abortSignal }),
    );
    // The engine says it, and dockerode's type leaves it out.
    return volume.CreatedAt;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}
