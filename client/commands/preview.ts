/** `twinpatch preview`: real samples end to end, shown. */

import type { Command } from '@commander-js/extra-typings';
import {
  collect,
  JSON_OPTION,
  parseCount,
  parsePort,
  parseUsd,
  TEMPORAL_OPTION,
} from '../options.ts';
import { type Io, note, print, printJson } from '../output.ts';

export function registerPreview(program: Command, io: Io): void {
  program
    .command('preview')
    .summary('one real sample end to end, shown')
    .description(
      'Runs the first samples of twinpatch.yaml to their end with the real teacher, shows them, and what the whole batch would take by them. They are a small batch of their own; with other values it is another one.',
    )
    .option('-n, --samples <n>', 'how many', parseCount, 1)
    .option('--steps', 'show every step of both rollouts')
    .option('--max-cost <usd>', 'most that they may cost in all', parseUsd)
    .option('--config <file>', 'configuration (default: the nearest twinpatch.yaml)')
    .option('--set <key=value>', 'set a value of the configuration; repeatable', collect, [])
    .option('--slots <n>', 'rollouts at once, when a worker has to be started', parseCount)
    .option('--port <port>', 'port of the embedded server, when it has to be started', parsePort)
    .option(...TEMPORAL_OPTION)
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      `
Examples:
  $ twinpatch preview
  $ twinpatch preview -n 3 --max-cost 2
  $ twinpatch preview --set rollout.maxSteps=60 --steps

JSON: {state, samples, estimate}: as of status, show and plan.`,
    )
    .action(async (options) => {
      const { loadConfig } = await import('../load-config.ts');
      const { runPreview } = await import('../preview.ts');
      const { renderEstimate } = await import('../render-estimate.ts');
      const { renderSpent } = await import('../render-progress.ts');
      const { renderSampleView } = await import('../render-sample.ts');
      const sets = [
        ...options.set,
        ...(options.maxCost === undefined ? [] : [`budget.maxCostUsd=${options.maxCost}`]),
      ];
      const { config } = await loadConfig({ path: options.config, sets, cwd: io.cwd });
      const preview = await runPreview(io, config, options.samples, options);
      if (preview === undefined) return;
      if (options.json) return printJson(io, preview);
      const { state, samples, estimate } = preview;
      for (const view of samples) {
        await print(io, `${renderSampleView(view, { steps: options.steps === true })}\n`);
      }
      await print(io, `this preview: ${renderSpent(state)}\n`);
      await print(io, `${config.targets.samples} samples of ${config.name}, by estimate:`);
      for (const line of renderEstimate(estimate)) await print(io, line);
      await note(io, '\nnext: twinpatch run');
    });
}
