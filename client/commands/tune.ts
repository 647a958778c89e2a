/** `twinpatch tune`: window, caps and slots of a batch that runs. */

import type { Command } from '@commander-js/extra-typings';
import type { BatchState } from '../batch-state.ts';
import { CliError, EXIT } from '../errors.ts';
import {
  JSON_OPTION,
  orAuto,
  parseCount,
  parseHours,
  parseTokens,
  parseUsd,
  STORE_OPTION,
  TEMPORAL_OPTION,
} from '../options.ts';
import { type Io, note, print, printJson } from '../output.ts';

export function registerTune(program: Command, io: Io): void {
  program
    .command('tune')
    .argument('[batch]')
    .description(
      'change a batch while it runs, and for its later runs; `auto` goes back to what it was started with',
    )
    .option('--window <n>', 'samples under way at once', orAuto(parseCount))
    .option('--max-cost <usd>', 'most that the batch may cost in all', orAuto(parseUsd))
    .option('--max-tokens <n>', 'most tokens of the batch in all, like 500M', orAuto(parseTokens))
    .option('--max-hours <n>', 'most hours that the batch may work in all', orAuto(parseHours))
    .option(
      '--slots <n>',
      'rollouts at once on each worker of the store, whatever batch they are of',
      orAuto(parseCount),
    )
    .option(...STORE_OPTION)
    .option(...TEMPORAL_OPTION)
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nExamples:\n  $ twinpatch tune headers --window 8\n  $ twinpatch tune headers --max-cost 50   a batch that had reached its cap goes on\n  $ twinpatch tune headers --slots auto',
    )
    .action(async (name, options) => {
      const { window, maxCost, maxTokens, maxHours, slots, json, ...where } = options;
      const values = { window, maxCostUsd: maxCost, maxTokens, maxHours, slots };
      const given = Object.entries(values).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, value === 'auto' ? null : value]],
      );
      if (given.length === 0) {
        throw new CliError(
          EXIT.usage,
          'tune what? — give --window, --max-cost, --max-tokens, --max-hours or --slots',
          { next: 'twinpatch tune --help' },
        );
      }
      const { clientIfRunning, openSession, requireBatch } = await import('../session.ts');
      const { renderTuned } = await import('../render-progress.ts');
      const { tuneBatch } = await import('../tune.ts');
      const { store, workspace } = await openSession(io, where);
      const batch = await requireBatch(store, name);
      const { client, trouble } = await clientIfRunning(workspace, where);
      const state = await tuneBatch(store, batch, Object.fromEntries(given), client);
      await client?.connection.close();
      if (json) return printJson(io, state);
      if (trouble !== undefined) await note(io, `${trouble.message}: it holds for the next run`);
      const tuned = renderTuned(state.tuned) || 'as it was started';
      await print(io, `${batch.id} is ${state.phase}: ${tuned}; next: ${nextOf(state)}`);
    });
}

// --- internal ---

function nextOf({ phase, batch }: BatchState): string {
  if (phase === 'no worker') return 'twinpatch up';
  const isDoing = phase === 'running' || phase === 'finished';
  return `twinpatch ${isDoing ? 'status' : 'resume'} ${batch}`;
}
