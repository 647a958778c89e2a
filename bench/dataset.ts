/** What exporting long rollouts takes: rows a second, and peak memory, which must not grow with the rows. */

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const STEPS = 60;
/** The memory of so small a part is what the whole is compared with. */
const PART = 100;
const TASK = fileURLToPath(new URL('dataset-task.ts', import.meta.url));
const PEER = fileURLToPath(new URL('rewrite_rows.py', import.meta.url));

interface Measured {
  seconds: number;
  /** Of the process, threads and start included: what it takes whoever else is on the machine. */
  cpuSeconds: number;
  memoryMiB: number;
  bytes?: number;
}

/**
 * A figure for each type of file, written, one for choosing by all views, and one for reading the lines back and checking them; beside the lines stands Python,
 * which reads the very rows and writes them again. Each runs in a process of its own, one after the other.
 */
export async function benchDataset(
  samples: number,
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<object[]> {
  const home = await mkdtemp(join(tmpdir(), 'twinpatch-bench-'));
  const run = async (program: string, args: string[]): Promise<Measured> => {
    const { stdout } = await promisify(execFile)(program, args, { signal });
    return JSON.parse(stdout) as Measured;
  };
  const runTask = (name: string, task: string, count: number) =>
    run(process.execPath, [
      ...['--import', 'tsx', TASK],
      ...[join(home, name), task, String(count), String(STEPS)],
    ]);
  const figureOf = (task: string, { seconds, cpuSeconds, bytes, memoryMiB }: Measured) => ({
    bench: 'dataset',
    task,
    samples,
    steps: STEPS,
    seconds: round(seconds),
    rowsPerSecond: round(samples / seconds),
    cpuMsPerRow: round((1000 * cpuSeconds) / samples),
    memoryMiB,
    ...(bytes !== undefined && bytes > 0 && { mebibytes: Math.round(bytes / 2 ** 20) }),
  });
  const part = Math.max(1, Math.round(samples / PART));
  try {
    const figures: object[] = [];
    for (const fileType of ['parquet', 'jsonl'] as const) {
      note(`writing ${samples} rows of ${STEPS} steps as ${fileType} in ${home}`);
      const small = await runTask('rows', fileType, part);
      const whole = await runTask('rows', fileType, samples);
      const memory = { memoryMiBOfPart: small.memoryMiB, part };
      figures.push({ ...figureOf(`write ${fileType}`, whole), ...memory });
    }
    note(`choosing of ${samples} rows by every view`);
    const few = await runTask('chosen', 'views', part);
    const chosen = await runTask('chosen', 'views', samples);
    const memory = { memoryMiBOfPart: few.memoryMiB, part };
    figures.push({ ...figureOf('write jsonl by every view', chosen), ...memory });
    note('reading them back');
    figures.push(figureOf('check jsonl', await runTask('rows', 'check', samples)));
    note('the same rows through Python');
    const lines = join(home, 'rows', 't2.jsonl');
    const peer = await run('python3', [PEER, lines, join(home, 'again.jsonl')]);
    figures.push(figureOf('peer: python3 json reads and writes the lines', peer));
    return figures;
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

// --- internal ---

function round(value: number): number {
  return Number(value.toFixed(value < 100 ? 2 : 0));
}
