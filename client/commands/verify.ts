/** `twinpatch verify`: what is bought is judged anew. */

import type { Command } from '@commander-js/extra-typings';
import { CliError, EXIT } from '../errors.ts';
import {
  collect,
  JSON_OPTION,
  parseCount,
  parsePort,
  STORE_OPTION,
  TEMPORAL_OPTION,
} from '../options.ts';
import { type Io, note, print, printJson, sanitizeLine } from '../output.ts';

export function registerVerify(program: Command, io: Io): void {
  program
    .command('verify')
    .argument('[batches...]')
    .description(
      'verify finished samples by other settings, or by what this version records; nothing is bought',
    )
    .option('--set <key=value>', 'set a value of `verification` first; repeatable', collect, [])
    .option(...STORE_OPTION)
    .option(...TEMPORAL_OPTION)
    .option('--port <port>', 'port of the embedded server, when it has to be started', parsePort)
    .option('--slots <n>', 'rollouts at once, when a worker has to be started', parseCount)
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nExamples:\n  $ twinpatch verify headers\n  $ twinpatch verify headers cookies --set \'verification.kinds.tests=["checks/**"]\'',
    )
    .action(async (names, options) => {
      const { openSession, requireBatches } = await import('../session.ts');
      const { setVerification, verifyBatch } = await import('../verify-batch.ts');
      const { bringUp } = await import('../launch.ts');
      const { store, workspace } = await openSession(io, options);
      const notify = (line: string) => void note(io, line);
      const batches = [];
      for (const batch of await requireBatches(store, names)) {
        batches.push(await setVerification(store, batch, options.set, notify));
      }
      const turnedAway = new AbortController();
      const onInterrupt = () => turnedAway.abort();
      process.once('SIGINT', onInterrupt);
      const { client } = await bringUp(workspace, options, notify);
      let failed = 0;
      try {
        for (const batch of batches) {
          const done = await verifyBatch(client, batch, notify, turnedAway.signal);
          if (done === undefined) {
            await note(
              io,
              `${batch.id} is verified in the background; next: twinpatch verify ${batch.id}`,
            );
            return;
          }
          failed += done.failed;
          if (options.json) await printJson(io, done);
          else {
            await print(
              io,
              `${batch.id}: ${done.verified} samples verified anew, ${done.known} were so already, ${done.skipped} have no two patches`,
            );
          }
          for (const reason of done.reasons) await note(io, sanitizeLine(reason));
        }
      } finally {
        process.off('SIGINT', onInterrupt);
        await client.connection.close();
      }
      if (failed > 0) throw new CliError(EXIT.failed, `${failed} samples can't be verified`);
    });
}
