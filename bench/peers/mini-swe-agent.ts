/** The peer mini-swe-agent on the same workload: kept in a virtual environment of the user's cache folder. */

import { access, mkdir, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { AGENT_UID, toEngineLabels } from '../../domain/ids.ts';
import type { SandboxLimits } from '../../domain/ports.ts';
import { TASK, WARM_UP_STEPS } from '../own-steps.ts';
import type { Measured, Workload } from '../workload.ts';

export const MINI_SWE_AGENT = 'mini-swe-agent';

const VERSION = '2.4.6';
const PACKAGES = [`${MINI_SWE_AGENT}==${VERSION}`, 'litellm[mcp]==1.106.2'];
const INSTALL_TIMEOUT_MS = 10 * 60_000;
const RUN_TIMEOUT_MS = 30 * 60_000;

/**
 * Runs it, with containers of the same limits that carry the installation's labels; the caller removes them. Throws what pip
 * or the peer said where it can't be installed or fails.
 */
export async function runMiniSweAgent(
  workload: Workload,
  { installation, limits }: { installation: string; limits: SandboxLimits },
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<Measured> {
  const python = await install(note, signal);
  const labels = toEngineLabels({ installation, role: 'rollout' });
  const runArguments = [
    ...Object.entries(labels).flatMap(([name, value]) => ['--label', `${name}=${value}`]),
    ...['--network', 'none', '--init', '--user', `${AGENT_UID}:${AGENT_UID}`],
    ...['--memory', String(limits.memoryBytes), '--memory-swap', String(limits.memoryBytes)],
    ...['--cpus', String(limits.cpus), '--pids-limit', String(limits.maxProcesses)],
  ];
  const script = fileURLToPath(new URL('mini_swe_agent.py', import.meta.url));
  const { stdout } = await execa(python, [script], {
    input: JSON.stringify({ ...workload, runArguments, task: TASK, warmUpSteps: WARM_UP_STEPS }),
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

function folder(): string {
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(cache, 'twinpatch', 'bench', `${MINI_SWE_AGENT}-${VERSION}`);
}

/** Path of a Python that has the packages; the marker says that the installation came to its end. */
async function install(note: (line: string) => void, cancelSignal: AbortSignal): Promise<string> {
  const at = folder();
  const python = join(at, 'bin', 'python');
  const marker = join(at, 'installed');
  const isThere = await access(marker).then(
    () => true,
    () => false,
  );
  if (isThere) return python;
  note(`installing ${PACKAGES.join(' ')} into ${at}; this takes a minute or two`);
  await rm(at, { recursive: true, force: true });
  await mkdir(at, { recursive: true });
  const options = { timeout: INSTALL_TIMEOUT_MS, cancelSignal };
  await execa('python3', ['-m', 'venv', at], options);
  await execa(python, ['-m', 'pip', 'install', '--quiet', ...PACKAGES], options);
  await writeFile(marker, `${PACKAGES.join('\n')}\n`);
  return python;
}
