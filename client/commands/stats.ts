/** `twinpatch stats`: from functions to rows, and what each filter costs. */

import type { Command } from '@commander-js/extra-typings';
import { JSON_OPTION, STORE_OPTION } from '../options.ts';
import { type Io, print, printJson, write } from '../output.ts';
import { withSelection } from '../selection-options.ts';

export function registerStats(program: Command, io: Io): void {
  const command = program
    .command('stats')
    .argument('[batches...]')
    .summary('from functions to rows, and what each filter costs')
    .description(
      'Shows how many functions, samples and rows batches have and why the others are none, and what each filter would cost. Takes the options of `export` that choose rows, and writes nothing.',
    );
  withSelection(command)
    .option('--tokenizer <folder>', 'count tokens with it; without one they are estimated')
    .option(...STORE_OPTION)
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      `
Examples:
  $ twinpatch stats headers
  $ twinpatch stats headers cookies --min-recall 1 --where "patchLines <= 40"
  $ twinpatch stats headers --json

JSON: {batches, simulated, functions, samples, recall, t1, t2, views, filters, spent, paid, costPerRowUsd}; see docs/cli.md.`,
    )
    .action(async (names, options) => {
      const { resolve } = await import('node:path');
      const { openSession, requireBatches } = await import('../session.ts');
      const { readStats } = await import('../batch-stats.ts');
      const { store } = await openSession(io, options);
      const batches = await requireBatches(store, names);
      const tokenizer = options.tokenizer && resolve(io.cwd, options.tokenizer);
      const stats = await readStats(store, batches, { ...options, tokenizer });
      if (options.json) return printJson(io, stats);
      const { renderStats } = await import('../render-stats.ts');
      await print(io, `${stats.batches.join(', ')}\n`);
      await write(io.stdout, renderStats(stats, io));
    });
}
