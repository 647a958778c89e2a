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
    .option(...STORE_OPTION)
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nImages are kept while a worker of the store runs: they are prepared again when they are missing.\n\nExamples:\n  $ twinpatch clean --dry-run\n  $ twinpatch clean',
    )
    .action(async (options) => {
      const { openSession } = await import('../session.ts');
      const { listOwn, removeUnused } = await import('../containers.ts');
      const { findDaemon } = await import('../daemon.ts');
      const { WORKER } = await import('../worker.ts');
      const { store, workspace } = await openSession(io, options);
      const isWorking = findDaemon(workspace.state, WORKER) !== undefined;
      const found = await listOwn(store, isWorking);
      const removed =
        options.dryRun === true ? new Set<string>() : await removeUnused(store, found);
      if (options.json) {
        for (const one of found) await printJson(io, { ...one, removed: removed.has(one.id) });
        return;
      }
      if (found.length === 0) return print(io, 'nothing of this store is in the engine');
      const rows = found.map(({ kind, name, megabytes, inUse, id }) => [
        kind,
        name,
        megabytes ?? '',
        inUse ?? (removed.has(id) ? 'removed' : 'unused'),
      ]);
      await write(
        io.stdout,
        renderTable(['kind', 'name', 'MB', 'state'], rows, { stream: io.stdout, env: io.env }),
      );
      if (options.dryRun === true && found.some(({ inUse }) => inUse === undefined))
        await note(io, 'next: twinpatch clean removes what is unused');
    });
}
