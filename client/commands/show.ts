/** `twinpatch show`: one sample, whole. */

import type { Command } from '@commander-js/extra-typings';
import { type Io, print, printJson } from '../output.ts';
import { JSON_OPTION, STORE_OPTION } from '../options.ts';

export function registerShow(program: Command, io: Io): void {
  program
    .command('show')
    .argument('<sample>', 'KEY or BATCH/KEY; a unique start of the key is enough')
    .description('show a sample: verdict, pull request, patches, steps')
    .option('--steps', 'show every step of both rollouts')
    .option(...STORE_OPTION)
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nExamples:\n  $ twinpatch show 000003\n  $ twinpatch show headers/000003-1a2b3c --steps',
    )
    .action(async (name, options) => {
      const { openSession } = await import('../session.ts');
      const { findSample, readSampleView } = await import('../sample-view.ts');
      const { renderSampleView } = await import('../render-sample.ts');
      const { store } = await openSession(io, options);
      const { batch, sample } = await findSample(store, name);
      const view = await readSampleView(store, batch, sample);
      if (options.json) await printJson(io, view);
      else await print(io, renderSampleView(view, { steps: options.steps === true }));
    });
}
