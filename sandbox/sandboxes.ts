/** Starts, finds and removes the sandboxes of rollouts on one engine. */

import { setTimeout as sleep } from 'node:timers/promises';

import pLimit from 'p-limit';

import { type Labels, readLabel, REPOSITORY_PATH } from '../domain/ids.ts';
import {
  ImageError,
  type PreparedSandbox,
  type Sandboxes,
  SandboxLost,
  type SandboxSpec,
} from '../domain/ports.ts';
import {
  type ContainerGuest,
  containerName,
  type ContainerSpec,
  startContainer,
  toSandboxError,
} from './container.ts';
import { createDiskWatch } from './disk-watch.ts';
import { createDockerSandbox } from './docker-sandbox.ts';
import { call, type Engine, statusOf } from './engine.ts';
import { DISK_RESERVE, type DiskSpace } from './engine-disk.ts';
import { guestOf } from './guest-volume.ts';
import { findImage } from './image.ts';
import { createMemoryBudget } from './memory-budget.ts';
import { createPlaces } from './places.ts';
import { createReaper, type Reaper } from './reaper.ts';
import { madeFor, removeOlder } from './removal.ts';
import { createVerifiers } from './verifiers.ts';

/** How long a sandbox waits for an owner, this one back or another, before it ends itself. */
const LEASE_MS = 5 * 60_000;
/** Starting is the engine's most expensive work; more at once only makes each slower. */
const STARTS_PER_CPU = 2;
/** For a container's name to be free. */
const MAX_PAUSE_MS = 5_000;

export interface DockerSandboxes extends Sandboxes, Reaper {
  /**
   * A fresh sandbox for a rollout; one that an earlier owner of the same rollout left is removed first. Throws ImageError
   * ('not-found'), SandboxLost where a newer owner has it, EngineUnavailable; rejects with the signal's reason, leaving no
   * container.
   */
  start(spec: SandboxSpec, signal: AbortSignal): Promise<PreparedSandbox>;
  /** Why another sandbox would wait for memory, in words; undefined when it would not. */
  memoryShortage(): string | undefined;
  /** Removes what is kept ready between rollouts. */
  close(): Promise<void>;
}

/** Sandboxes of one installation, the name under which this host's containers are known as ours. */
export function createSandboxes(options: {
  engine: Engine;
  installation: string;
  leaseMs?: number;
  /** Room that sandboxes leave on the engine's disk. */
  diskReserve?: Partial<DiskSpace>;
  /** Memory of the engine's host, by its own word when left out. */
  memoryBytes?: number;
  /** The guest of a sandbox over an image: the one in this installation's volume by default. */
  guest?: (imageId: string) => Promise<ContainerGuest>;
}): DockerSandboxes {
  const { engine, installation, leaseMs = LEASE_MS } = options;
  const guestFor = options.guest ?? ((imageId) => guestOf(engine, installation, imageId, leaseMs));
  const placesOf = createPlaces();
  const reserveOf = () => ({ ...DISK_RESERVE, ...options.diskReserve });
  const disk = createDiskWatch(engine, reserveOf, placesOf);
  const memory = createMemoryBudget(options.memoryBytes ?? engine.memoryBytes);
  const verifiers = createVerifiers(engine, installation);
  const environments = new Map<string, Promise<Record<string, string>>>();
  const limitStarts = pLimit(STARTS_PER_CPU * engine.cpus);

  async function start(
    spec: SandboxSpec,
    signal: AbortSignal,
    onClosed: () => void,
  ): Promise<PreparedSandbox> {
    signal.throwIfAborted();
    const name = containerName(installation, spec.labels.rollout);
    const { imageId, limits, epoch } = spec;
    const labels: Labels = { installation, role: 'rollout', epoch: String(epoch), ...spec.labels };
    try {
      const environment = await environmentOf(imageId);
      const guest = await guestFor(imageId);
      const wanted = { imageId, name, labels, limits, network: false, guest };
      const { container, stdio } = await startInPlace(engine, wanted, spec, signal);
      const ref = { engine: engine.id, container, imageId };
      return createDockerSandbox(
        engine,
        ref,
        { epoch, leaseMs, environment },
        { verifiers, disk, placesOf, limits, onClosed },
        stdio,
      );
    } catch (error) {
      if (statusOf(error) === 404 && (await findImage(engine, spec.imageId)) === undefined) {
        throw new ImageError(
          'not-found',
          `The prepared image ${spec.imageId} is gone from this host. Resume the batch to prepare it again.`,
          { cause: error },
        );
      }
      throw toSandboxError(error, name);
    }
  }

  /** An image never changes, so it is asked once. */
  function environmentOf(imageId: string): Promise<Record<string, string>> {
    let found = environments.get(imageId);
    if (found === undefined) {
      found = agentEnvironment(engine, imageId);
      environments.set(imageId, found);
      found.catch(() => environments.delete(imageId));
    }
    return found;
  }

  return {
    ...createReaper({ engine, installation }),
    async start(spec, signal) {
      await disk.admit(signal, spec.onWaiting);
      const giveBack = await memory.take(spec.limits.memoryBytes, signal, spec.onWaiting);
      try {
        return await limitStarts(() => start(spec, signal, giveBack));
      } catch (error) {
        giveBack();
        throw error;
      }
    },
    async find(rolloutId, epoch, limits) {
      let sandbox: PreparedSandbox | undefined;
      try {
        const found = await call('container inspect', (abortSignal) =>
          engine.docker
            .getContainer(containerName(installation, rolloutId))
            .inspect({ abortSignal }),
        );
        const labels = found.Config.Labels;
        if (!found.State.Running || readLabel(labels, 'installation') !== installation)
          return undefined;
        // Its owner may not have said yet who it is.
        if (madeFor(labels) > epoch) return undefined;
        const ref = { engine: engine.id, container: found.Id, imageId: found.Image };
        const environment = await environmentOf(found.Image);
        sandbox = createDockerSandbox(
          engine,
          ref,
          { epoch, leaseMs, environment },
          { verifiers, disk, placesOf, limits, onClosed: memory.claim(limits.memoryBytes) },
        );
        // Its answer means that the owner before can do nothing in it any more.
        await sandbox.list(REPOSITORY_PATH, 0);
        return sandbox;
      } catch (error) {
        sandbox?.leave();
        if (statusOf(error) === 404 || error instanceof SandboxLost) return undefined;
        throw toSandboxError(error, rolloutId);
      }
    },
    memoryShortage: () => memory.shortage(),
    close: () => verifiers.close(),
  };
}

// --- internal ---

/** Starts a container under its name, in the place of what older owners have under it. */
async function startInPlace(
  engine: Engine,
  container: ContainerSpec & { name: string },
  { epoch, isNewest = async () => true }: Pick<SandboxSpec, 'epoch' | 'isNewest'>,
  signal: AbortSignal,
): ReturnType<typeof startContainer> {
  for (let pauseMs = 50; ; pauseMs *= 2) {
    await removeOlder(engine, container.name, epoch, isNewest);
    try {
      return await startContainer(engine, container, signal);
    } catch (error) {
      // An older owner has the name again, or it is not free yet: the engine keeps it for what it is removing.
      if (statusOf(error) !== 409 || pauseMs > MAX_PAUSE_MS) throw error;
    }
    await sleep(pauseMs, undefined, { signal });
  }
}

async function agentEnvironment(engine: Engine, imageId: string): Promise<Record<string, string>> {
  const image = await call('image inspect', () => engine.docker.getImage(imageId).inspect());
  return toAgentEnvironment(image.Config.Env ?? []);
}

/**
 * All that the agent's commands start with: what the image sets, since a toolchain is not found without it, less what would
 * change how programs are loaded, and our own values over it.
 */
function toAgentEnvironment(imageEnvironment: string[]): Record<string, string> {
  const ofImage = imageEnvironment.flatMap((entry): [string, string][] => {
    const at = entry.indexOf('=');
    const name = entry.slice(0, at);
    return at < 1 ||
      /^(LD_.*|BASH_ENV|BASHOPTS|ENV|HOSTNAME|POSIXLY_CORRECT|PS4|SHELLOPTS)$/.test(name)
      ? []
      : [[name, entry.slice(at + 1)]];
  });
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ...Object.fromEntries(ofImage),
    HOME: '/home/agent',
    USER: 'agent',
    LANG: 'C.UTF-8',
    TERM: 'dumb',
    PAGER: 'cat',
    GIT_PAGER: 'cat',
    GIT_TERMINAL_PROMPT: '0',
    GIT_EDITOR: 'true',
    CI: '1',
    PIP_NO_INPUT: '1',
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    PYTHONDONTWRITEBYTECODE: '1',
    DEBIAN_FRONTEND: 'noninteractive',
    // Or every bash asks the user database for it, which takes a tenth of its start.
    SHELL: '/bin/bash',
  };
}
