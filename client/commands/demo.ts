/** `twinpatch demo`: the whole way once, on this machine, without a model. */

import type { Command } from '@commander-js/extra-typings';
import { type Io, note, print, printJson } from '../output.ts';
import { parseBatchName, parseCount, parsePort, JSON_OPTION, STORE_OPTION } from '../options.ts';

const SAMPLES = 8;

export function registerDemo(program: Command, io: Io): void {
  program
    .command('demo')
    .description('a whole batch with a scripted teacher in real containers: rows in under a minute')
    .option('--samples <n>', 'samples of the batch', parseCount, SAMPLES)
    .option(
      '--repository <path|url>',
      'repository to use (default: the sources of an installed package)',
    )
    .option('--name <name>', 'name of the batch', parseBatchName)
    .option('--port <port>', 'port of the embedded server, when it has to be started', parsePort)
    .option('--slots <n>', 'rollouts at once, when a worker has to be started', parseCount)
    .option(...STORE_OPTION)
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nExamples:\n  $ twinpatch demo\n  $ twinpatch demo --samples 20 --repository ~/code/project',
    )
    .action(async (options) => {
      const { runDemo } = await import('../run-demo.ts');
      const result = await runDemo(io, options, (line) => void note(io, line));
      if (result === undefined) return;
      for (const line of result.next) await (options.json ? note(io, line) : print(io, line));
      if (options.json) await printJson(io, result.summary);
    });
}
