/** Makes one prepared image in a container of its own, which is committed and removed. */

import { type Labels, REPOSITORY_PATH, toEngineLabels } from '../domain/ids.ts';
import { EngineUnavailable, ImageError, type ImageSpec } from '../domain/ports.ts';
import { nameOfBase, SHOWN_OUTPUT_BYTES } from './base-image.ts';
import { removeContainer, startContainer } from './container.ts';
import { call, type Engine, isConnectionError, statusOf } from './engine.ts';
import { execute, type ExecRequest } from './exec.ts';
import {
  CREATE_AGENT,
  FIND_COPIES,
  FIND_TOOLS,
  FINISH_TREE,
  INSTALL_TOOLS,
  RECEIVE_TREE,
} from './image-scripts.ts';

/** For each step that is ours: no repository's code runs in them, but large trees take time. */
const STEP_TIMEOUT_MS = 10 * 60_000;

const WHAT_IS_NEEDED =
  'Add bash, git, util-linux, coreutils and findutils to the image, or name another one.';

export interface PrepareSpec extends ImageSpec {
  baseId: string;
  tag: string;
  installation: string;
  imageLabels: Labels;
  /** Aborted, with EngineUnavailable, when the engine's disk is about to be full. */
  hasRoom: AbortSignal;
}

/** Builds, commits and tags; returns the image id. Throws ImageError, EngineUnavailable. No container is left either way. */
export async function prepareImage(engine: Engine, spec: PrepareSpec): Promise<string> {
  const start = async (network: boolean) => {
    const started = await startContainer(engine, {
      imageId: spec.baseId,
      labels: { installation: spec.installation, role: 'prepare', process: engine.process },
      limits: spec.limits,
      network,
    });
    return started.container;
  };
  await refuseVolumes(engine, spec);
  let container: string | undefined;
  try {
    container = await start(spec.setup.length > 0);
    const tools = await findTools(engine, container, nameOfBase(spec.base));
    if (!tools.output.includes('complete')) {
      if (spec.setup.length === 0) {
        await removeContainer(engine, container);
        container = await start(true);
      }
      await installTools(engine, container, nameOfBase(spec.base), tools.output.trim());
    }
    await ownStep(engine, container, 'create the agent user', CREATE_AGENT);
    await putTree(engine, container, spec);
    await ownStep(engine, container, 'take in the tree', RECEIVE_TREE);
    await runSetup(engine, container, spec);
    await ownStep(engine, container, 'commit the tree', FINISH_TREE);
    return await commit(engine, container, spec, await findCopies(engine, container));
  } catch (error) {
    if (
      error instanceof ImageError ||
      error instanceof EngineUnavailable ||
      isConnectionError(error)
    )
      throw error;
    const reason = String((error as Error).message);
    if (/exec: "?\/bin\/sh"?:/.test(reason)) throw withoutShell(nameOfBase(spec.base), error);
    throw new ImageError(
      'build-failed',
      `The image for ${nameOfBase(spec.base)} can't be prepared: ${reason}`,
      {
        cause: error,
      },
    );
  } finally {
    if (container !== undefined) await removeContainer(engine, container);
  }
}

// --- internal ---

interface ScriptResult {
  exitCode: number;
  /** The end of what it wrote. */
  output: string;
}

async function runScript(
  engine: Engine,
  container: string,
  script: string,
  shell: 'sh' | 'bash',
  { timeoutMs = STEP_TIMEOUT_MS, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<ScriptResult> {
  let output = Buffer.alloc(0);
  const program: ExecRequest = {
    command: [shell, '-c', `exec 2>&1; ${script}`], // one stream: what failed comes last
    user: '0:0',
    env: [
      'HOME=/root',
      'CI=1',
      'PIP_NO_INPUT=1',
      'PIP_ROOT_USER_ACTION=ignore',
      'DEBIAN_FRONTEND=noninteractive',
      'GIT_TERMINAL_PROMPT=0',
    ],
    workingDirectory: '/',
    timeoutMs,
    onOutput: (_stream, piece) => {
      output = Buffer.concat([output, piece]).subarray(-SHOWN_OUTPUT_BYTES);
    },
  };
  const exitCode = await execute(engine, container, program, signal);
  return { exitCode, output: output.toString('utf8') };
}

/** What lies on a volume is in no image: the repository would be gone from it. */
async function refuseVolumes(engine: Engine, spec: PrepareSpec): Promise<void> {
  const { Config } = await call('image inspect', () =>
    engine.docker.getImage(spec.baseId).inspect(),
  );
  const volume = Object.keys(Config.Volumes ?? {}).find((path) =>
    `${path}/`.startsWith(`${REPOSITORY_PATH}/`),
  );
  if (volume === undefined) return;
  throw new ImageError(
    'build-failed',
    `The image ${nameOfBase(spec.base)} declares VOLUME ${volume}, where the repository is to be. Name another image, or make one without it.`,
  );
}

/** Throws ImageError for a shell that runs nothing: its container ends at once, or says that there is no such program. */
async function findTools(engine: Engine, container: string, base: string): Promise<ScriptResult> {
  const tools = await runScript(engine, container, FIND_TOOLS, 'sh').catch((error: unknown) => {
    if (statusOf(error) !== 409) throw error;
    return undefined;
  });
  if (tools !== undefined && /^(missing|complete)/m.test(tools.output)) return tools;
  throw withoutShell(base);
}

function withoutShell(base: string, cause?: unknown): ImageError {
  return new ImageError(
    'build-failed',
    `The image ${base} has no /bin/sh to start with. ${WHAT_IS_NEEDED}`,
    { cause },
  );
}

async function installTools(
  engine: Engine,
  container: string,
  base: string,
  missing: string,
): Promise<void> {
  const { exitCode, output } = await runScript(engine, container, INSTALL_TOOLS, 'sh');
  const tools = await runScript(engine, container, FIND_TOOLS, 'sh');
  if (tools.output.includes('complete')) return;
  const why =
    exitCode === 3
      ? 'it has none of apt-get, apk, dnf, microdnf'
      : `installing them failed:\n${output}`;
  throw new ImageError(
    'build-failed',
    `The image ${base} lacks what a sandbox needs (${missing.replace('missing ', '')}), and ${why}. ` +
      WHAT_IS_NEEDED,
  );
}

/** A step of our own: it fails only where the image or the host is broken. */
async function ownStep(
  engine: Engine,
  container: string,
  task: string,
  script: string,
): Promise<void> {
  const { exitCode, output } = await runScript(engine, container, script, 'sh');
  if (exitCode !== 0)
    throw new ImageError(
      'build-failed',
      `Preparing the image failed to ${task} (code ${exitCode}):\n${output}`,
    );
}

/** By tar in the container: the engine's own upload refuses a tree with a link that leads out of it. */
async function putTree(engine: Engine, container: string, spec: PrepareSpec): Promise<void> {
  let said = '';
  const exitCode = await execute(engine, container, {
    command: ['tar', '-xf', '-', '-C', REPOSITORY_PATH],
    user: '0:0',
    stdin: await spec.snapshot(),
    timeoutMs: STEP_TIMEOUT_MS,
    onOutput: (_, piece) => {
      said = (said + piece.toString()).slice(-SHOWN_OUTPUT_BYTES);
    },
  });
  if (exitCode !== 0) {
    throw new ImageError(
      'build-failed',
      `The snapshot can't be unpacked in ${nameOfBase(spec.base)} (tar ended with ${exitCode}): ${said}`,
    );
  }
}

async function runSetup(engine: Engine, container: string, spec: PrepareSpec): Promise<void> {
  const deadline = performance.now() + spec.setupTimeoutMs;
  for (const [index, command] of spec.setup.entries()) {
    const inRepository = `cd ${REPOSITORY_PATH}; ${command}`;
    const where = `environment.setup[${index}] (${command.split('\n')[0]})`;
    const leftMs = Math.ceil(deadline - performance.now());
    const tooSlow = () =>
      new ImageError(
        'build-failed',
        `${where} was not done in the ${spec.setupTimeoutMs / 1000} s that all of the set-up has.`,
      );
    if (leftMs <= 0) throw tooSlow();
    try {
      const { exitCode, output } = await runScript(engine, container, inRepository, 'bash', {
        timeoutMs: leftMs,
        signal: spec.hasRoom,
      });
      if (exitCode !== 0)
        throw new ImageError('build-failed', `${where} ended with code ${exitCode}:\n${output}`);
    } catch (error) {
      if (error instanceof EngineUnavailable && performance.now() >= deadline) throw tooSlow();
      throw error;
    }
  }
}

async function findCopies(engine: Engine, container: string): Promise<string[]> {
  const { output } = await runScript(engine, container, FIND_COPIES, 'sh');
  return [...output.matchAll(/^copy (\/[\w@/.+-]+)$/gm)].map(([, path = '']) => path);
}

async function commit(
  engine: Engine,
  container: string,
  spec: PrepareSpec,
  copies: string[],
): Promise<string> {
  // Stopped first: no process of the set-up may write while the tree is taken.
  await call('container stop', (abortSignal) =>
    engine.docker.getContainer(container).stop({ t: 0, abortSignal }),
  );
  const [repo, tag] = spec.tag.split(':') as [string, string];
  const labels = Object.entries(
    toEngineLabels({ ...spec.imageLabels, ...(copies.length > 0 && { copies: copies.join(' ') }) }),
  ).map(([name, value]) => `LABEL ${name}=${JSON.stringify(value)}`);
  const committed = (await call(
    'image commit',
    (abortSignal) =>
      engine.docker
        .getContainer(container)
        .commit({ repo, tag, changes: [...labels, `WORKDIR ${REPOSITORY_PATH}`], abortSignal }),
    { timeoutMs: STEP_TIMEOUT_MS },
  )) as { Id: string };
  return committed.Id;
}
