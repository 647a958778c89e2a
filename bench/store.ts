/** What reading a store with many finished samples takes: seconds, and memory of a process that does nothing else. */

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fillStore } from './finished-store.ts';

const TASK = fileURLToPath(new URL('store-task.ts', import.meta.url));
/** In this order: what comes first finds nothing in the page cache that another left there but the generator. */
const TASKS = ['nothing', 'status', 'resume', 'retry', 'stats', 'export', 'rebuild'] as const;

export type StoreTask = (typeof TASKS)[number];

/** One figure per task, each in a process of its own; `nothing` only opens the store. */
export async function benchStore(
  samples: number,
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<object[]> {
  const folder = await mkdtemp(join(tmpdir(), 'twinpatch-bench-'));
  try {
    note(`making a store with ${samples} finished samples in ${folder}`);
    await fillStore(folder, samples, signal);
    const figures: object[] = [];
    for (const task of TASKS) {
      note(`measuring ${task}`);
      const run = promisify(execFile);
      const { stdout } = await run(process.execPath, ['--import', 'tsx', TASK, folder, task], {
        signal,
      });
      figures.push({ bench: 'store', samples, task, ...(JSON.parse(stdout) as object) });
    }
    return figures;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
