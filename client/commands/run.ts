/** `twinpatch run`: plans a batch from twinpatch.yaml and works it off. */

import type { Command } from '@commander-js/extra-typings';
import { type Io, note } from '../output.ts';
import {
  collect,
  parseBatchName,
  parseCount,
  parseHours,
  parsePort,
  parseTokens,
  parseUsd,
  JSON_OPTION,
  TEMPORAL_OPTION,
} from '../options.ts';

export function registerRun(program: Command, io: Io): void {
  program
    .command('run')
    .description('run the batch of twinpatch.yaml; the same name goes on where it was')
    .option('-n, --samples <n>', 'samples of the batch', parseCount)
    .option('--name <name>', 'name of the batch', parseBatchName)
    .option('--max-cost <usd>', 'most that the batch may cost in all', parseUsd)
    .option('--max-tokens <n>', 'most tokens of the batch in all, like 500M', parseTokens)
    .option('--max-hours <n>', 'most hours that the batch may work in all', parseHours)
    .option('--config <file>', 'configuration (default: the nearest twinpatch.yaml)')
    .option('--set <key=value>', 'set a value of the configuration; repeatable', collect, [])
    .option('--window <n>', 'samples under way at once', parseCount)
    .option('--slots <n>', 'rollouts at once, when a worker has to be started', parseCount)
    .option('--port <port>', 'port of the embedded server, when it has to be started', parsePort)
    .option(...TEMPORAL_OPTION)
    .option('--detach', 'return when the batch has been started')
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nExamples:\n  $ twinpatch run -n 20\n  $ twinpatch run --max-cost 25 --detach\n  $ twinpatch run --set rollout.maxSteps=60 --name short',
    )
    .action(async (options) => {
      const { loadConfig } = await import('../load-config.ts');
      const { openStore } = await import('../../store/open.ts');
      const { workspaceOf } = await import('../workspace.ts');
      const { ingest } = await import('../ingest.ts');
      const { checkGround } = await import('../launch.ts');
      const { sourceCacheFolder } = await import('../cache-folder.ts');
      const { runToEnd } = await import('../run-batch.ts');
      const sets = [
        ...options.set,
        ...(options.samples === undefined ? [] : [`targets.samples=${options.samples}`]),
        ...(options.name === undefined ? [] : [`name=${options.name}`]),
        ...(options.maxCost === undefined ? [] : [`budget.maxCostUsd=${options.maxCost}`]),
        ...(options.maxTokens === undefined ? [] : [`budget.maxTokens=${options.maxTokens}`]),
        ...(options.maxHours === undefined ? [] : [`budget.maxHours=${options.maxHours}`]),
      ];
      const { config } = await loadConfig({ path: options.config, sets, cwd: io.cwd });
      const workspace = workspaceOf(config.store);
      const store = await openStore(workspace.store);
      const { batch } = await ingest({
        config,
        store,
        cacheDir: sourceCacheFolder(io.env),
        onProgress: (line) => void note(io, line),
        beforeChange: () => checkGround(workspace, options),
      });
      // What is said here was said last.
      await store.tunings.change(batch.id, {
        ...(options.maxCost !== undefined && { maxCostUsd: null }),
        ...(options.maxTokens !== undefined && { maxTokens: null }),
        ...(options.maxHours !== undefined && { maxHours: null }),
      });
      await runToEnd(io, { store, workspace }, batch, options);
    });
}
