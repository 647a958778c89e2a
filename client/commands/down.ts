/** `twinpatch down`: stops the worker and the embedded server of this store, and removes what they left in the engine. */

import type { Command } from '@commander-js/extra-typings';
import { type Io, note, print } from '../output.ts';
import { STORE_OPTION } from '../options.ts';

/** A worker hands its activities over within seconds; the server needs a moment to close its data file. */
const WORKER_GRACE_MS = 30_000;
const SERVER_GRACE_MS = 15_000;

export function registerDown(program: Command, io: Io): void {
  program
    .command('down')
    .description('stop the worker and the embedded server; batches go on with `up`')
    .option(...STORE_OPTION)
    .addHelpText('after', '\nExample:\n  $ twinpatch down')
    .action(async (options) => {
      const { stopDaemon } = await import('../daemon.ts');
      const { removeContainers } = await import('../containers.ts');
      const { SERVER } = await import('../server.ts');
      const { openSession } = await import('../session.ts');
      const { WORKER } = await import('../worker.ts');
      const { store, workspace } = await openSession(io, options);
      const worker = await stopDaemon(workspace.state, WORKER, WORKER_GRACE_MS);
      await print(io, worker ? 'worker stopped' : 'no worker was running');
      const server = await stopDaemon(workspace.state, SERVER, SERVER_GRACE_MS);
      await print(io, server ? 'server stopped' : 'no embedded server was running');
      const removed = await removeContainers(store.id).catch((error: Error) =>
        note(io, `containers were not looked at: ${error.message}`),
      );
      if (removed) await print(io, `${removed} containers removed`);
    });
}
