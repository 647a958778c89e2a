/** The Sandbox port over one container of a Docker engine. */

import {
  type CommandRequest,
  type CommandResult,
  EngineUnavailable,
  type Sandbox,
  SandboxLost,
  type SandboxRef,
} from '../domain/ports.ts';
import { parseAnswer, toSupervisor } from './command.ts';
import { removeContainer, stopContainer, toSandboxError, whyLost } from './container.ts';
import { type Engine, statusOf } from './engine.ts';
import { createCollector, execute } from './exec.ts';
import { listIn, readFileIn, writeFileIn } from './files.ts';
import { MAX_STATE_BYTES } from './shell.ts';

/** Beyond a command's own limit: for killing its processes, and for an engine under load. */
const ANSWER_MARGIN_MS = 60_000;
/** An exec fails for a moment while a container is out of processes or memory; its processes die, or it is lost. */
const TRIES = 4;

/** The sandbox in a running container. `environment` is all that the agent's commands start with. */
export function createDockerSandbox(
  engine: Engine,
  ref: SandboxRef,
  environment: Record<string, string>,
): Sandbox {
  const { container } = ref;

  /** Judges failures: what an exec says of itself is only believed while the engine says that the container runs. */
  async function trusted<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (
        !(error instanceof SandboxLost || error instanceof EngineUnavailable) &&
        statusOf(error) === undefined
      )
        throw error;
      const reason = await whyLost(engine, container);
      if (reason !== undefined)
        throw new SandboxLost(`Sandbox ${container.slice(0, 12)} is lost: ${reason}.`, {
          cause: error,
        });
      throw toSandboxError(error, container);
    }
  }

  async function attempt(
    request: CommandRequest,
    signal: AbortSignal | undefined,
  ): Promise<CommandResult | undefined> {
    const { command, stdin } = toSupervisor(request, environment);
    const tooMuch = () =>
      new SandboxLost(`Sandbox ${container.slice(0, 12)} answered with more than was asked for.`);
    const stdout = createCollector(request.maxOutputBytes + 4096, tooMuch);
    const stderr = createCollector(MAX_STATE_BYTES + 4096, tooMuch);
    await execute(
      engine,
      container,
      {
        command,
        stdin,
        user: '0:0',
        env: SUPERVISOR_ENVIRONMENT,
        workingDirectory: '/',
        timeoutMs: request.timeoutMs + ANSWER_MARGIN_MS,
        onOutput: (stream, piece) => (stream === 'stdout' ? stdout : stderr).add(piece),
      },
      signal,
    );
    return parseAnswer({ stdout: stdout.bytes(), stderr: stderr.bytes() }, request, environment);
  }

  return {
    ref,
    run: (request, signal) =>
      trusted(async () => {
        const started = performance.now();
        for (let tried = 1; ; tried++) {
          const result = await attempt(request, signal);
          if (result)
            return result.durationMs > 0
              ? result
              : { ...result, durationMs: performance.now() - started };
          // The id makes a second try a question about the first: nothing runs twice.
          if (tried === TRIES || (await whyLost(engine, container)) !== undefined) {
            throw new SandboxLost(`Sandbox ${container.slice(0, 12)} no longer runs commands.`);
          }
          await new Promise((resolve) => setTimeout(resolve, 200 * tried));
        }
      }),
    readFile: (path, maxBytes) => trusted(() => readFileIn(engine, container, path, maxBytes)),
    writeFile: (path, bytes) => trusted(() => writeFileIn(engine, container, path, bytes)),
    list: (path, depth) => trusted(() => listIn(engine, container, path, depth)),
    stop: () => stopContainer(engine, container),
    close: () => removeContainer(engine, container),
  };
}

/** The supervisor's own programs are the image's, found in its usual places, and nothing the image sets reaches them. */
const SUPERVISOR_ENVIRONMENT = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'LC_ALL=C',
  'BASH_ENV=',
  'LD_PRELOAD=',
  'LD_LIBRARY_PATH=',
];
