/** One program run in a container through the engine's exec, its two streams taken apart with back-pressure. */

import type { Duplex } from 'node:stream';

import type Docker from 'dockerode';

import { EngineUnavailable } from '../domain/ports.ts';
import { call, type Engine, isConnectionError } from './engine.ts';

/** A program of a container. */
export interface ExecProgram {
  command: string[];
  user: string;
  /** `NAME=value`; added to the image's own. */
  env?: string[];
  workingDirectory?: string;
}

export interface ExecRequest extends ExecProgram {
  stdin?: Uint8Array | NodeJS.ReadableStream;
  /** Until its output has ended. */
  timeoutMs: number;
  /** Called with each piece of output; may throw to give up. */
  onOutput: (stream: 'stdout' | 'stderr', piece: Buffer) => void;
}

/**
 * Runs a program and returns its exit code once its output has ended. The engine reports its own failures to start a program
 * as ordinary output with code 126 or 127: callers prove success by what their program prints. Giving up (deadline, `signal`)
 * does not end the program in the container. Throws EngineUnavailable, and the engine's answers with a status (404, 409).
 */
export async function execute(
  engine: Engine,
  container: string,
  request: ExecRequest,
  signal?: AbortSignal,
): Promise<number> {
  const deadline = performance.now() + request.timeoutMs;
  const { exec, stream } = await startExec(engine, container, request, signal);
  const timedOut = new EngineUnavailable(
    `A program in container ${container} did not end in ${request.timeoutMs} ms.`,
  );
  const timer = setTimeout(
    () => stream.destroy(timedOut),
    Math.max(0, deadline - performance.now()),
  );
  const onAbort = () => stream.destroy(asError(signal?.reason));
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    feed(stream, request.stdin);
    const demultiplex = createDemultiplexer(request.onOutput);
    for await (const chunk of stream as AsyncIterable<Buffer>) demultiplex(chunk);
  } catch (error) {
    if (!isConnectionError(error)) throw error;
    throw new EngineUnavailable(
      `The engine dropped an exec stream: ${String((error as Error).message)}`,
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    stream.destroy();
  }
  return exitCode(exec, container);
}

/** Starts a program and returns the two-way stream to it, in the engine's stream format. Throws as `execute`. */
export async function startExec(
  engine: Engine,
  container: string,
  { command, user, env = [], workingDirectory }: ExecProgram,
  signal?: AbortSignal,
): Promise<{ exec: Docker.Exec; stream: Duplex }> {
  const exec = await call(
    'exec create',
    (abortSignal) =>
      engine.docker.getContainer(container).exec({
        Cmd: command,
        User: user,
        Env: env,
        AttachStdin: true,
        AttachStdout: true,
        AttachStderr: true,
        Tty: false,
        abortSignal,
        ...(workingDirectory === undefined ? {} : { WorkingDir: workingDirectory }),
      }),
    { signal },
  );
  // The connection is upgraded to a two-way stream, because the engine only passes on the end of stdin on such a one.
  const stream = await call('exec start', () => exec.start({ hijack: true, stdin: true }), {
    signal,
  });
  return { exec, stream };
}

/** Takes the engine's stream format (1 byte stream, 3 zero, 4 length, then the piece) apart. */
export function createDemultiplexer(
  onOutput: (stream: 'stdout' | 'stderr', piece: Buffer) => void,
): (chunk: Buffer) => void {
  const header = Buffer.alloc(8);
  let headerBytes = 0;
  let left = 0;
  return (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      if (left === 0) {
        const taken = Math.min(8 - headerBytes, chunk.length - at);
        chunk.copy(header, headerBytes, at, at + taken);
        headerBytes += taken;
        at += taken;
        if (headerBytes < 8) continue;
        headerBytes = 0;
        left = header.readUInt32BE(4);
        continue;
      }
      const taken = Math.min(left, chunk.length - at);
      onOutput(header[0] === 2 ? 'stderr' : 'stdout', chunk.subarray(at, at + taken));
      left -= taken;
      at += taken;
    }
  };
}

// --- internal ---

/** After the end of its output an exec may be listed as running, or without a code, for a moment. */
async function exitCode(exec: { inspect(options: object): Promise<unknown> }, container: string) {
  for (let pauseMs = 2; pauseMs < 4000; pauseMs *= 2) {
    const state = (await call('exec inspect', (abortSignal) => exec.inspect({ abortSignal }))) as {
      Running: boolean;
      ExitCode: number | null;
    };
    if (!state.Running && state.ExitCode !== null) return state.ExitCode;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  throw new EngineUnavailable(
    `The engine lists a program of container ${container} as running after its output ended.`,
  );
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

function feed(
  stream: NodeJS.WritableStream & { destroy(error: Error): void },
  stdin: ExecRequest['stdin'],
): void {
  if (stdin === undefined || stdin instanceof Uint8Array) {
    stream.end(stdin ?? Buffer.alloc(0));
    return;
  }
  stdin.once('error', (error: Error) => stream.destroy(error));
  stdin.pipe(stream);
}
