/** `twinpatch export`: rows on disk. */

import { Option, type Command } from '@commander-js/extra-typings';
import { CliError, EXIT } from '../errors.ts';
import { type Io, note, print, printJson } from '../output.ts';
import { parseShare, JSON_OPTION, STORE_OPTION } from '../options.ts';
import { ACCEPTED_RECALL } from '../yield.ts';

export function registerExport(program: Command, io: Io): void {
  program
    .command('export')
    .argument('[batch]')
    .description('write the rows of a batch: t1.jsonl, t2.jsonl and a manifest')
    .option('--min-recall <share>', 'least recall of a T2 row', parseShare, ACCEPTED_RECALL)
    .addOption(
      new Option('--recall-mode <mode>', 'recall that --min-recall means')
        .choices(['exact', 'sera'] as const)
        .default('exact' as const),
    )
    .addOption(
      new Option('--format <format>', 'form of the rows')
        .choices(['hermes'] as const)
        .default('hermes' as const),
    )
    .option('--out <folder>', 'folder to write (default: out/BATCH)')
    .option('--check', 'read the rows back and verify each')
    .option(...STORE_OPTION)
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nExamples:\n  $ twinpatch export headers --min-recall 0.5\n  $ twinpatch export headers --out data/headers --check',
    )
    .action(async (name, options) => {
      const { resolve } = await import('node:path');
      const { openSession, requireBatch } = await import('../session.ts');
      const { exportBatch } = await import('../export-batch.ts');
      const { store } = await openSession(io, options);
      const batch = await requireBatch(store, name);
      const folder = resolve(io.cwd, options.out ?? `out/${batch.id}`);
      const { manifest, problems } = await exportBatch(store, batch, folder, options);
      if (options.json) await printJson(io, { ...manifest, directory: folder });
      else {
        for (const file of manifest.files)
          await print(io, `${resolve(folder, file.name)}  ${file.rows} rows`);
        for (const [rollout, counts] of [
          ['t1', manifest.t1],
          ['t2', manifest.t2],
        ] as const) {
          const lost = Object.entries(counts.lost).map(([reason, count]) => `${reason} ${count}`);
          if (lost.length > 0) await print(io, `left out of ${rollout}: ${lost.join(', ')}`);
        }
        if (manifest.simulated)
          await print(io, 'SIMULATED: made by the scripted teacher, must not be used for training');
      }
      for (const problem of problems) await note(io, problem);
      if (problems.length > 0)
        throw new CliError(EXIT.failed, `${problems.length} rows do not pass the check`);
      if (options.check === true && options.json !== true)
        await print(io, 'every row passes the check');
    });
}
