/** `twinpatch clean`: what is ours in the engine of this host, and the removal of what nothing uses. */

import type { Command } from '@commander-js/extra-typings';
import { type Io, note, print, printJson, write } from '../output.ts';
import { renderTable } from '../table.ts';
import { JSON_OPTION, STORE_OPTION } from '../options.ts';

export function registerClean(program: Command, io: Io): void {
  program
    .command('clean')
    .description(
      "show the containers, images and volumes of this store, and remove what isn't used",
    )
    .option('--dry-run', 'only show')
    .option('--unfinished', 'remove images that unfinished batches go on with, too')
    .option(...STORE_OPTION)
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nImages stay while a batch of the store is unfinished: a sample ends with the image it began with. With --unfinished\nthey go; a batch that is resumed then makes them anew, and its samples under way begin, and are paid, again.\n\nExamples:\n  $ twinpatch clean --dry-run\n  $ twinpatch clean',
    )
    .action(async (options) => {
      const { openSession } = await import('../session.ts');
      const { cleanEngine } = await import('../containers.ts');
      const { store } = await openSession(io, options);
      const dryRun = options.dryRun === true;
      const found = await cleanEngine(store, { dryRun, unfinished: options.unfinished === true });
      if (options.json) {
        for (const thing of found) await printJson(io, thing);
        return;
      }
      if (found.length === 0) return print(io, 'nothing of this store is in the engine');
      const rows = found.map(({ kind, name, megabytes, inUse, removed }) => [
        kind,
        name,
        megabytes ?? '',
        inUse ?? (removed ? 'removed' : 'unused'),
      ]);
      await write(
        io.stdout,
        renderTable(['kind', 'name', 'MB', 'state'], rows, { stream: io.stdout, env: io.env }),
      );
      if (dryRun && found.some(({ inUse }) => inUse === undefined))
        await note(io, 'next: twinpatch clean removes what is unused');
      const kept = found.find(({ kind, inUse }) => kind === 'image' && inUse !== undefined);
      if (kept !== undefined)
        await note(
          io,
          options.unfinished === true
            ? 'a worker is at work here; next: twinpatch down, then this again'
            : 'next: resume the batch to its end, or twinpatch clean --unfinished',
        );
    });
}
