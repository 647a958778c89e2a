/** `twinpatch worker`: a worker in the foreground, for a service manager or a second host. */

import type { Command } from '@commander-js/extra-typings';
import { CliError, EXIT } from '../errors.ts';
import type { Io } from '../output.ts';
import { parseCount, STORE_OPTION, TEMPORAL_OPTION } from '../options.ts';

export function registerWorker(program: Command, io: Io): void {
  program
    .command('worker')
    .description('run a worker in the foreground until SIGTERM')
    .option(...STORE_OPTION)
    .option(...TEMPORAL_OPTION)
    .option('--slots <n>', 'rollouts at once (default: by cores and memory)', parseCount)
    .addHelpText(
      'after',
      '\nExample:\n  $ twinpatch worker --temporal temporal.internal:7233 --store /srv/twinpatch/store',
    )
    .action(async (options) => {
      const { pathToFileURL } = await import('node:url');
      const { findRunning } = await import('../launch.ts');
      const { openSession } = await import('../session.ts');
      const { workerEnvironment, workerProgram } = await import('../worker.ts');
      const { workspace } = await openSession(io, options, { make: true });
      const running = await findRunning(workspace, options);
      if (running === undefined) {
        throw new CliError(EXIT.failed, 'no Temporal server runs for this store', {
          next: 'twinpatch up, or give --temporal HOST:PORT',
        });
      }
      await running.client.connection.close();
      const settings = {
        ...running.server,
        ...(options.slots !== undefined && { slots: options.slots }),
      };
      // In this process, which it ends: whoever supervises it has one to signal and to kill.
      Object.assign(process.env, workerEnvironment(workspace, settings));
      await import(pathToFileURL(workerProgram()).href);
    });
}
