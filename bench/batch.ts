/** What it costs to conduct a batch, per sample, beside the least a batch can be on the same server, in turns. */

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findDaemon, stopDaemon } from '../client/daemon.ts';
import { connectClient, SERVER, startEmbeddedServer } from '../client/server.ts';
import { freePort } from '../test/support/free-port.ts';

const TASK = fileURLToPath(new URL('batch-task.ts', import.meta.url));
const WINDOW = 50;
/** A peer of this size tells what the server can do just then. */
const PEER_SAMPLES = 500;
const GRACE_MS = 10_000;
/** Of Linux, in `/proc`. */
const MS_PER_TICK = 10;

/** One figure per size, each from a worker of its own, and one of the peer before it and one after all. */
export async function benchBatch(
  sizes: number[],
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<object[]> {
  const state = await mkdtemp(join(tmpdir(), 'twinpatch-bench-'));
  try {
    const server = await startEmbeddedServer(state, await freePort(), note);
    await (await connectClient(server, {})).connection.close();
    const pid = findDaemon(state, SERVER)?.owner.pid ?? 0;
    const measure = async (kind: 'ours' | 'peer', samples: number) => {
      note(`measuring a batch of ${samples}: ${kind}`);
      const cpuMs = await cpuMsOf(pid);
      const figures = await runTask([server.address, kind, `${samples}`, `${WINDOW}`], signal);
      const { seconds = 0 } = figures;
      const serverCpuMs = ((await cpuMsOf(pid)) - cpuMs) / samples;
      const perSecond = samples / seconds;
      return { bench: 'batch', kind, samples, perSecond, serverCpuMs, ...figures };
    };
    const figures = [];
    for (const samples of sizes) {
      figures.push(await measure('peer', Math.min(samples, PEER_SAMPLES)));
      figures.push(await measure('ours', samples));
    }
    figures.push(await measure('peer', PEER_SAMPLES));
    return figures.map(rounded);
  } finally {
    await stopDaemon(state, SERVER, GRACE_MS);
    await rm(state, { recursive: true, force: true });
  }
}

// --- internal ---

async function runTask(given: string[], signal: AbortSignal): Promise<Record<string, number>> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', TASK, ...given],
    { signal },
  );
  return JSON.parse(stdout) as Record<string, number>;
}

async function cpuMsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

function rounded(figure: object): object {
  return Object.fromEntries(
    Object.entries(figure).map(([name, value]: [string, unknown]) => [
      name,
      typeof value === 'number' ? Math.round(value * 100) / 100 : value,
    ]),
  );
}
