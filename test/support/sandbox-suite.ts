/** What a test file on real sandboxes shares: one engine, one small image, and the removal of all that it made. */

import { afterAll, expect } from 'vitest';

import type {
  CommandRequest,
  PreparedSandbox,
  Sandbox,
  SandboxLimits,
} from '../../domain/ports.ts';
import { connectEngine } from '../../sandbox/engine.ts';
import { execute } from '../../sandbox/exec.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { INITIAL_SHELL } from '../../sandbox/shell.ts';
import { LIMITS, prepareTree, type Tree, uniqueName } from './sandbox-fixture.ts';

let requests = 0;

/** Opens it for the file that calls; `tree` is what the image has at /testbed, `host` another engine than this host's. */
export async function openSuite(
  prefix: string,
  tree: Tree = { 'a.txt': 'a\n' },
  options: { host?: string } = {},
) {
  const installation = uniqueName(prefix);
  const engine = await connectEngine(options);
  const imageId = await prepareTree(engine, installation, tree);
  const sandboxes = createSandboxes({ engine, installation });
  let started = 0;
  afterAll(async () => {
    await sandboxes.close();
    await sandboxes.removeAll();
    await sandboxes.removeImages((await sandboxes.listImages()).map(({ id }) => id));
    await sandboxes.removeVolumes();
  });
  return {
    engine,
    imageId,
    installation,
    sandboxes,
    /** A fresh sandbox of the image, or of another one. */
    start: (options: { imageId?: string; limits?: Partial<SandboxLimits> } = {}) =>
      sandboxes.start(
        {
          imageId: options.imageId ?? imageId,
          limits: { ...LIMITS, ...options.limits },
          epoch: 1,
          labels: { batch: 'b', sample: 's', rollout: `b/s/rollout-1.${++started}` },
        },
        new AbortController().signal,
      ),
    /** What only the outside can do to a container: its exit code and output. */
    async asRoot(sandbox: Sandbox, command: string): Promise<{ code: number; output: string }> {
      let output = '';
      const code = await execute(engine, sandbox.ref.container, {
        command: ['bash', '-c', command],
        user: '0:0',
        timeoutMs: 20_000,
        onOutput: (_stream, piece) => (output += piece.toString()),
      });
      return { code, output };
    },
  };
}

/** Runs a command as the agent, under a request id that no other has. */
export function run(
  sandbox: Sandbox,
  command: string,
  options: Partial<CommandRequest> = {},
  signal?: AbortSignal,
): ReturnType<Sandbox['run']> {
  const request = {
    id: `request-${++requests}`,
    command,
    shell: INITIAL_SHELL,
    timeoutMs: 30_000,
    maxOutputBytes: 64 * 1024,
    ...options,
  };
  return sandbox.run(request, signal);
}

/** Works with a fresh sandbox in which a command went well. */
export async function after<T>(
  start: () => Promise<PreparedSandbox>,
  command: string,
  work: (sandbox: PreparedSandbox) => Promise<T>,
): Promise<T> {
  const sandbox = await start();
  try {
    const result = await run(sandbox, command, { timeoutMs: 60_000 });
    expect({ command, ...result }).toMatchObject({ end: 'exited', exitCode: 0 });
    return await work(sandbox);
  } finally {
    await sandbox.close();
  }
}

/** The output of a command. */
export async function say(sandbox: Sandbox, command: string): Promise<string> {
  return (await run(sandbox, command)).output;
}
