/** The peer litellm, which most agents of this field ask their model by. */

import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { installPython, LITELLM, peerFolder } from './python.ts';

const RUN_TIMEOUT_MS = 10 * 60_000;
const SCRIPT = fileURLToPath(new URL('litellm_calls.py', import.meta.url));

export interface LitellmCalls {
  baseUrl: string;
  model: string;
  requests: { messages: object[]; tools: object[] }[];
  /** Calls of each request. */
  calls: number;
}

/** Per request what a call takes. Throws what pip or the peer said where it can't be installed or fails. */
export async function measureLitellm(
  work: LitellmCalls,
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<{ wallMs: number; cpuMs: number }[]> {
  const python = await installPython(peerFolder('litellm'), [LITELLM], note, signal);
  const { stdout } = await execa(python, [SCRIPT], {
    input: JSON.stringify(work),
    env: { LITELLM_LOCAL_MODEL_COST_MAP: 'True' },
    timeout: RUN_TIMEOUT_MS,
    cancelSignal: signal,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { wallMs: number; cpuMs: number }[];
}
