/** `twinpatch up`: the embedded server and a worker, in the background. */

import type { Command } from '@commander-js/extra-typings';
import { type Io, note, print, printJson } from '../output.ts';
import { parseCount, parsePort, JSON_OPTION, STORE_OPTION, TEMPORAL_OPTION } from '../options.ts';

export function registerUp(program: Command, io: Io): void {
  program
    .command('up')
    .description('start the embedded Temporal server and a worker in the background')
    .option(...STORE_OPTION)
    .option(...TEMPORAL_OPTION)
    .option(
      '--port <port>',
      'port of the embedded server (default: as last time, else 7233; the UI is 1000 above)',
      parsePort,
    )
    .option('--slots <n>', 'rollouts at once (default: by cores and memory)', parseCount)
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nExamples:\n  $ twinpatch up\n  $ twinpatch up --port 7333 --slots 4\n  $ twinpatch up --temporal temporal.internal:7233   a worker for a server that runs already',
    )
    .action(async (options) => {
      const { bringUp } = await import('../launch.ts');
      const { openSession } = await import('../session.ts');
      const { workspace } = await openSession(io, options, { make: true });
      const { server, client } = await bringUp(workspace, options, (line) => void note(io, line));
      await client.connection.close();
      const facts = {
        address: server.address,
        ui: server.ui ?? null,
        namespace: server.namespace,
        store: workspace.store,
      };
      if (options.json) return printJson(io, facts);
      await print(io, `Temporal server  ${facts.address}`);
      if (facts.ui !== null)
        await print(io, `Temporal UI      ${facts.ui}/namespaces/${facts.namespace}/workflows`);
      await print(io, `store            ${facts.store}`);
      await print(io, 'next: twinpatch run, or twinpatch down to stop both');
    });
}
