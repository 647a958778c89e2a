/** What our containers are allowed to do, what they are called, and whether one can still be trusted. */

import { createHash } from 'node:crypto';

import type { Duplex } from 'node:stream';

import type Docker from 'dockerode';

import { type Labels, toEngineLabels } from '../domain/ids.ts';
import { EngineUnavailable, SandboxLost, type SandboxLimits } from '../domain/ports.ts';
import { call, type Engine, statusOf } from './engine.ts';

/** Where the guest listens: a small file system in memory, of root alone. */
const GUEST_SOCKET_FOLDER = '/run/twinpatch';

/** Of a container that runs what we don't trust; SETUID and SETGID are for becoming the agent, which can't come back. */
const SANDBOX_CAPABILITIES = ['SETUID', 'SETGID'];
/** Of a container that prepares an image: package managers hand files to other users. */
const PREPARE_CAPABILITIES = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'SETUID',
  'SETGID',
  'KILL',
  'SYS_CHROOT',
];

export interface ContainerSpec {
  imageId: string;
  name?: string;
  labels: Labels;
  limits: Omit<SandboxLimits, 'maxDiskBytes' | 'maxDiskFiles'>;
  /** `prepare` may reach the network when `network` says so. */
  network: boolean;
  /** Makes the guest its first process. Without it the container only waits. */
  guest?: ContainerGuest;
}

/** How a container comes by its guest, and the command that starts it. */
export interface ContainerGuest {
  command: string[];
  mount: Docker.MountSettings;
}

/** How the engine is asked for a container. */
export function toCreateOptions(spec: ContainerSpec): Docker.ContainerCreateOptions {
  const { memoryBytes, cpus, maxProcesses, maxFileBytes } = spec.limits;
  return {
    ...(spec.name === undefined ? {} : { name: spec.name }),
    Image: spec.imageId,
    User: '0:0',
    WorkingDir: '/',
    // As the first process, the shell outlives a kill of everything.
    Entrypoint: spec.guest?.command ?? ['/bin/sh', '-c', 'while :; do sleep 3600; done'],
    Cmd: [],
    Labels: toEngineLabels(spec.labels),
    Healthcheck: { Test: ['NONE'] },
    Tty: false,
    // The one who starts it talks to its guest at once; whoever comes later comes by a relay.
    OpenStdin: spec.guest !== undefined,
    StdinOnce: spec.guest !== undefined,
    StopSignal: 'SIGKILL',
    HostConfig: {
      NetworkMode: spec.network ? 'default' : 'none',
      Privileged: false,
      AutoRemove: false,
      Init: false,
      CapDrop: ['ALL'],
      CapAdd: spec.labels.role === 'prepare' ? PREPARE_CAPABILITIES : SANDBOX_CAPABILITIES,
      SecurityOpt: ['no-new-privileges'],
      PidsLimit: maxProcesses,
      Memory: memoryBytes,
      MemorySwap: memoryBytes,
      NanoCpus: Math.round(cpus * 1e9),
      CpuShares: 512,
      OomScoreAdj: 500,
      ShmSize: 256 * 1024 ** 2,
      Ulimits: [
        { Name: 'core', Soft: 0, Hard: 0 },
        { Name: 'fsize', Soft: maxFileBytes, Hard: maxFileBytes },
      ],
      LogConfig: { Type: 'none', Config: {} },
      IpcMode: 'private',
      CgroupnsMode: 'private',
      // Memory that processes share goes with the last of them.
      Sysctls: { 'kernel.shm_rmid_forced': '1' },
      Tmpfs: { [GUEST_SOCKET_FOLDER]: 'rw,nosuid,nodev,noexec,size=64k,mode=0700' },
      Mounts: spec.guest === undefined ? [] : [spec.guest.mount],
    } as Docker.HostConfig,
  };
}

/** The name of a rollout's container: the same for the same rollout, another for another installation. */
export function containerName(installation: string, rollout: string): string {
  return ownName(installation, rollout.replaceAll('/', '_'));
}

/** A name in the engine that no other installation has. */
export function ownName(installation: string, name: string): string {
  const owner = createHash('sha256').update(installation).digest('hex').slice(0, 8);
  return `twinpatch-${owner}-${name}`;
}

/**
 * Creates and starts a container; one that cannot start, or is called off, is removed again. `stdio` is the stream to its guest,
 * where it has one.
 */
export async function startContainer(
  engine: Engine,
  spec: ContainerSpec,
  signal?: AbortSignal,
): Promise<{ container: string; stdio: Duplex | undefined }> {
  // Not called off: the engine would make it all the same, and only its answer says what to remove.
  const created = await call('container create', (abortSignal) =>
    engine.docker.createContainer({ ...toCreateOptions(spec), abortSignal }),
  );
  let stdio: Duplex | undefined;
  try {
    if (spec.guest !== undefined) stdio = await attach(engine, created.id, signal);
    await call('container start', (abortSignal) => created.start({ abortSignal }), {
      timeoutMs: 120_000,
      signal,
    });
    return { container: created.id, stdio };
  } catch (error) {
    stdio?.destroy();
    await removeContainer(engine, created.id);
    throw error;
  }
}

/** Removes a container by id or name, with its processes and volumes. Nothing to remove is fine. */
export async function removeContainer(engine: Engine, container: string): Promise<void> {
  for (let pauseMs = 50; ; pauseMs *= 2) {
    try {
      await call(
        'container remove',
        (abortSignal) =>
          engine.docker.getContainer(container).remove({ force: true, v: true, abortSignal }),
        { timeoutMs: 120_000 },
      );
      return;
    } catch (error) {
      if (statusOf(error) === 404) return;
      // Another removal of the same container is under way: wait for its end.
      if (statusOf(error) !== 409 || pauseMs > 10_000) throw toSandboxError(error, container);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

/** Why a container can't be used, or undefined when it runs. Throws EngineUnavailable. */
export async function whyLost(engine: Engine, container: string): Promise<string | undefined> {
  try {
    const { State } = await call('container inspect', (abortSignal) =>
      engine.docker.getContainer(container).inspect({ abortSignal }),
    );
    if (State.Paused) return 'it is paused';
    return State.Running
      ? undefined
      : `it ended with code ${State.ExitCode}${State.OOMKilled ? ', out of memory' : ''}`;
  } catch (error) {
    if (statusOf(error) === 404) return 'it was removed';
    throw toSandboxError(error, container);
  }
}

/** An engine's answer about a container in the contract's terms: gone, stopped or paused is SandboxLost, trouble is EngineUnavailable; a request it refuses is a bug, and stays what it is. */
export function toSandboxError(error: unknown, container: string): unknown {
  const status = statusOf(error);
  if (status === undefined) return error;
  const reason = String((error as Error).message);
  if (status >= 400 && status < 500 && status !== 404 && status !== 409) return error;
  return status === 404 || status === 409
    ? new SandboxLost(`Sandbox ${container.slice(0, 12)} is lost: ${reason}`, { cause: error })
    : new EngineUnavailable(`The engine failed for sandbox ${container.slice(0, 12)}: ${reason}`, {
        cause: error,
      });
}

// --- internal ---

/**
 * The stream to a container's stdio, in raw form. Not by dockerode's own call, which sends a body that the engine does not read:
 * where it comes after the head, the engine takes it for input of the container.
 */
async function attach(engine: Engine, container: string, signal?: AbortSignal): Promise<Duplex> {
  const stream = await call(
    'container attach',
    (abortSignal) =>
      new Promise<Duplex>((resolve, reject) =>
        engine.docker.modem.dial(
          {
            path: `/containers/${container}/attach?stream=1&stdin=1&stdout=1&stderr=1&`,
            method: 'POST',
            hijack: true,
            isStream: true,
            file: Buffer.alloc(0), // no body, and a length that says so
            statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
            abortSignal,
          },
          (error: Error | null, answer: unknown) =>
            error ? reject(error) : resolve(answer as Duplex),
        ),
      ),
    { signal },
  );
  stream.on('error', () => {}); // until the guest's connection listens
  return stream;
}
