/** `npm run bench -- NAME …`: figures on stdout, one JSON line each with --json; everything else on stderr. */

import { setMaxListeners } from 'node:events';
import { Argument, Command } from '@commander-js/extra-typings';
import { parseCount } from '../client/options.ts';
import { renderTable } from '../client/table.ts';
import { benchBatch } from './batch.ts';
import { benchDataset } from './dataset.ts';
import { benchFunctions } from './functions.ts';
import { benchRecall } from './recall.ts';
import { benchSandbox } from './sandbox.ts';
import { benchServer } from './server.ts';
import { benchSteps } from './steps.ts';
import { benchStore } from './store.ts';
import { benchTeacher } from './teacher.ts';

const NAMES = [
  'steps',
  'sandbox',
  'recall',
  'functions',
  'server',
  'store',
  'batch',
  'dataset',
  'teacher',
] as const;

const BATCH_SIZES = [500, 2000];
const SERVER_SAMPLES = 100;
const STORE_SAMPLES = 200_000;
const DATASET_SAMPLES = 100_000;

const program = new Command('bench')
  .description('Measures twinpatch, beside a peer in the same run wherever there is one.')
  .addArgument(new Argument('<names...>', 'what to measure').choices(NAMES))
  .option('--json', 'one JSON line per figure')
  .option('--rollouts <n>', 'steps: rollouts in all', parseCount, 2)
  .option('--steps <n>', 'steps: steps of each rollout', parseCount, 40)
  .option('--concurrency <n>', 'steps: rollouts under way at once', parseCount, 2)
  .option('--teacher <url>', 'steps: an OpenAI-compatible endpoint, up to and with /v1')
  .option('--model <name>', 'steps: its model', 'bench')
  .option('--image <name>', 'steps: an image with a repository at /testbed')
  .option('--no-peers', 'steps, teacher: without the peers')
  .option(
    '--sizes <n...>',
    'batch: samples of each batch (default: 500 2000)',
    (value, sizes: number[]) => [...sizes, parseCount(value)],
    [],
  )
  .option('--folder <path>', "functions: a folder (default: Python's own library)")
  .option(
    '--samples <n>',
    `server: samples of each round (${SERVER_SAMPLES}); store: finished ones (${STORE_SAMPLES}); dataset: long ones (${DATASET_SAMPLES})`,
    parseCount,
  )
  .option('--temporal <host:port>', 'server: one to measure beside the embedded ones')
  .parse();

const options = program.opts();
const [names] = program.processedArgs;
const interrupt = new AbortController();
setMaxListeners(0, interrupt.signal); // every rollout of a bench listens
// A terminal's interrupt comes twice, from it and from tsx: the second must not cut the cleaning short.
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => interrupt.abort(new Error('interrupted')));
}

try {
  for (const name of names) report(await measure(name));
} catch (error) {
  note(error instanceof Error ? error.message : String(error));
  process.exitCode = interrupt.signal.aborted ? 130 : 1;
}

// --- internal ---

function measure(name: (typeof NAMES)[number]): Promise<object[]> {
  switch (name) {
    case 'steps':
      return benchSteps(options, interrupt.signal, note);
    case 'sandbox':
      return benchSandbox(interrupt.signal, note);
    case 'recall':
      return benchRecall();
    case 'functions':
      return benchFunctions(options.folder);
    case 'server':
      return benchServer(
        { samples: options.samples ?? SERVER_SAMPLES, temporal: options.temporal },
        interrupt.signal,
        note,
      );
    case 'batch':
      return benchBatch(
        options.sizes.length > 0 ? options.sizes : BATCH_SIZES,
        interrupt.signal,
        note,
      );
    case 'teacher':
      return benchTeacher(options, interrupt.signal, note);
    case 'store':
      return benchStore(options.samples ?? STORE_SAMPLES, interrupt.signal, note);
    case 'dataset':
      return benchDataset(options.samples ?? DATASET_SAMPLES, interrupt.signal, note);
  }
}

function report(figures: object[]): void {
  if (options.json) {
    for (const figure of figures) process.stdout.write(`${JSON.stringify(figure)}\n`);
    return;
  }
  const head = [...new Set(figures.flatMap((figure) => Object.keys(figure)))];
  const rows = figures.map((figure) => {
    const cells = new Map<string, unknown>(Object.entries(figure));
    return head.map((key) => {
      const value = cells.get(key);
      return typeof value === 'number' ? value : typeof value === 'string' ? value : '';
    });
  });
  process.stdout.write(renderTable(head, rows, { stream: process.stdout, env: process.env }));
}

function note(line: string): void {
  process.stderr.write(`${line}\n`);
}
