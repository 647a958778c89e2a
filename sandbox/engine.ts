/** The connection to a Docker engine: version negotiation, a deadline on every call, one kind of error when it is away. */

import Docker from 'dockerode';

import { EngineUnavailable } from '../domain/ports.ts';
import { keepAgreed, negotiate } from './api-version.ts';

/** Ordinary calls answer in milliseconds; a loaded engine may need seconds. */
const CALL_TIMEOUT_MS = 60_000;

export interface Engine {
  docker: Docker;
  /** As the engine's `/info` gives it. */
  id: string;
  /** Processors of the engine's host. */
  cpus: number;
  /** Memory of the engine's host. */
  memoryBytes: number;
  /** Of the engine's host, as its kernel names it. */
  architecture: string;
  /** Where it keeps images and containers, when that is on this host. */
  dataFolder: string | undefined;
  /** Who is connected, as what it makes for itself says. */
  process: string | undefined;
}

/**
 * Connects to the engine at `host` (`unix:///path`, `tcp://host:port`), else at DOCKER_HOST, else at the default socket.
 * Throws EngineUnavailable, with what to do next.
 */
export async function connectEngine(
  options: { host?: string; process?: string } = {},
): Promise<Engine> {
  const host = options.host ?? process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock';
  const address = parseHost(host);
  const nextStep = `Start Docker, or set DOCKER_HOST to a reachable engine (now ${host}).`;
  const first = new Docker(address);
  const agree = async () => {
    const version = await call('GET /version', () => first.version(), {
      timeoutMs: 10_000,
      nextStep,
    });
    return negotiate(version.ApiVersion, version.MinAPIVersion);
  };
  const docker = new Docker({ ...address, version: `v${await agree()}` });
  keepAgreed(docker, agree);
  const info = (await call('GET /info', () => docker.info(), {
    timeoutMs: 30_000,
    nextStep,
  })) as {
    ID: string;
    NCPU: number;
    MemTotal: number;
    Architecture: string;
    DockerRootDir: string;
  };
  return {
    docker,
    id: info.ID,
    cpus: info.NCPU,
    memoryBytes: info.MemTotal,
    architecture: info.Architecture,
    dataFolder: address.socketPath === undefined ? undefined : info.DockerRootDir,
    process: options.process,
  };
}

/**
 * One call to the engine with a deadline. Answers with a status (404, 409 …) are thrown as they came, for the caller to judge
 * with `statusOf`; a lost connection or a passed deadline becomes EngineUnavailable; `signal` rejects with its own reason.
 */
export async function call<T>(
  what: string,
  request: (abortSignal: AbortSignal) => Promise<T>,
  options: { timeoutMs?: number; signal?: AbortSignal | undefined; nextStep?: string } = {},
): Promise<T> {
  const timeoutMs = options.timeoutMs ?? CALL_TIMEOUT_MS;
  options.signal?.throwIfAborted();
  const abort = new AbortController();
  let stop!: (reason: unknown) => void;
  const stopped = new Promise<never>((_resolve, reject) => (stop = reject));
  stopped.catch(() => {});
  const timer = setTimeout(
    () =>
      stop(
        new EngineUnavailable(`The Docker engine gave no answer to ${what} in ${timeoutMs} ms.`),
      ),
    timeoutMs,
  );
  const onAbort = () => stop(options.signal?.reason);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  const answer = request(abort.signal);
  answer.catch(() => {}); // it may still fail after the deadline has settled the race
  try {
    return await Promise.race([answer, stopped]);
  } catch (error) {
    abort.abort();
    if (
      error instanceof EngineUnavailable ||
      statusOf(error) !== undefined ||
      !isConnectionError(error)
    )
      throw error;
    throw new EngineUnavailable(
      `The Docker engine can't be reached for ${what}: ${String((error as Error).message)}. ${options.nextStep ?? ''}`.trim(),
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
  }
}

/** The HTTP status of an engine's answer that was thrown, or undefined for any other error. */
export function statusOf(error: unknown): number | undefined {
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  return typeof status === 'number' ? status : undefined;
}

/** True for a lost or refused connection. */
export function isConnectionError(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return (
    typeof code === 'string' &&
    [
      'ECONNREFUSED',
      'ECONNRESET',
      'ENOENT',
      'EACCES',
      'EPIPE',
      'ETIMEDOUT',
      'ENOTFOUND',
      'EAI_AGAIN',
      'ECONNABORTED',
    ].includes(code)
  );
}

// --- internal ---

function parseHost(host: string): Docker.DockerOptions {
  if (host.startsWith('unix://')) return { socketPath: host.slice('unix://'.length) };
  const url = URL.canParse(host) ? new URL(host) : undefined;
  if (url === undefined || !['tcp:', 'http:', 'https:'].includes(url.protocol)) {
    throw new EngineUnavailable(
      `DOCKER_HOST is ${JSON.stringify(host)}; use unix:///path/to/docker.sock or tcp://host:port.`,
    );
  }
  return {
    protocol: url.protocol === 'https:' ? 'https' : 'http',
    host: url.hostname,
    port: Number(url.port || 2375),
  };
}
