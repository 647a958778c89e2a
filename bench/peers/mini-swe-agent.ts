/** The peer mini-swe-agent on the same workload, by itself and over SWE-ReX: kept in a virtual environment of the user's cache folder. */

import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { AGENT_UID, toEngineLabels } from '../../domain/ids.ts';
import type { SandboxLimits } from '../../domain/ports.ts';
import { TASK, WARM_UP } from '../own-steps.ts';
import type { Measured, Workload } from '../workload.ts';
import { INSTALL_TIMEOUT_MS, installPython, LITELLM, once, peerFolder } from './python.ts';

/** By itself it starts a process of the engine's command line for each command; SWE-ReX is a web server inside the container. */
export const PEERS = ['mini-swe-agent', 'mini-swe-agent over SWE-ReX'] as const;
export type Peer = (typeof PEERS)[number];

const VERSION = '2.4.6';
const SWE_REX = 'swe-rex==1.4.0';
const PACKAGES = [`mini-swe-agent==${VERSION}`, LITELLM, SWE_REX];
const RUN_TIMEOUT_MS = 30 * 60_000;

/** The server's packages are mounted, and only its own process sees them. */
const SERVER_FOLDER = '/opt/swe-rex';
const SERVER_COMMAND = '/usr/local/bin/swerex-remote';
const START_SERVER = `#!/bin/sh
exec python3 -c 'import sys; sys.path.insert(0, "${SERVER_FOLDER}"); from swerex.server import main; main()' "$@"
`;

/**
 * Runs it, with containers of the same limits that carry the installation's labels; the caller removes them. Throws what pip
 * or the peer said where it can't be installed or fails.
 */
export async function runMiniSweAgent(
  peer: Peer,
  workload: Workload,
  { installation, limits }: { installation: string; limits: SandboxLimits },
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<Measured> {
  const overSweRex = peer === 'mini-swe-agent over SWE-ReX';
  const python = await installPython(folder(), PACKAGES, note, signal);
  const labels = Object.entries(toEngineLabels({ installation, role: 'rollout' })).flatMap(
    ([name, value]) => ['--label', `${name}=${value}`],
  );
  const runArguments = [
    ...labels,
    ...['--init', '--user', `${AGENT_UID}:${AGENT_UID}`, '--entrypoint', ''],
    ...['--memory', String(limits.memoryBytes), '--memory-swap', String(limits.memoryBytes)],
    ...['--cpus', String(limits.cpus), '--pids-limit', String(limits.maxProcesses)],
    ...(overSweRex
      ? await mountServer(python, [...labels, '--entrypoint', 'python3', workload.imageId], signal)
      : ['--network', 'none']),
  ];
  const script = fileURLToPath(new URL('mini_swe_agent.py', import.meta.url));
  const { stdout } = await execa(python, [script], {
    input: JSON.stringify({
      ...workload,
      overSweRex,
      runArguments,
      task: TASK,
      warmUpSteps: WARM_UP.steps,
    }),
    env: {
      LITELLM_LOCAL_MODEL_COST_MAP: 'True',
      MSWEA_COST_TRACKING: 'ignore_errors',
      MSWEA_SILENT_STARTUP: '1',
      MSWEA_GLOBAL_CONFIG_DIR: folder(),
    },
    timeout: RUN_TIMEOUT_MS,
    cancelSignal: signal,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Measured;
}

// --- internal ---

const folder = () => peerFolder(`mini-swe-agent-${VERSION}`);

/** The arguments that give a container the server: its packages as the container's own Python needs them. */
async function mountServer(
  python: string,
  containerPython: string[],
  cancelSignal: AbortSignal,
): Promise<string[]> {
  const options = { timeout: INSTALL_TIMEOUT_MS, cancelSignal };
  const printVersion = 'import sys; print("%d.%d" % sys.version_info[:2])';
  const run = ['run', '--rm', '--network', 'none', ...containerPython, '-c', printVersion];
  const { stdout: version } = await execa('docker', run, options);
  const at = join(folder(), `container-python-${version}`);
  const command = join(at, 'swerex-remote');
  await once(at, [SWE_REX], async () => {
    const target = ['--target', at, '--python-version', version, '--only-binary', ':all:'];
    await execa(python, ['-m', 'pip', 'install', '--quiet', ...target, SWE_REX], options);
    await writeFile(command, START_SERVER);
    await chmod(command, 0o755);
  });
  return ['--volume', `${at}:${SERVER_FOLDER}:ro`, '--volume', `${command}:${SERVER_COMMAND}:ro`];
}
