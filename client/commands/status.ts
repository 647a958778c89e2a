/** `twinpatch status`: how batches stand. */

import type { Command } from '@commander-js/extra-typings';
import type { CliError } from '../errors.ts';
import { type Io, note, print, printJson, write } from '../output.ts';
import { renderTable } from '../table.ts';
import { JSON_OPTION, STORE_OPTION, TEMPORAL_OPTION } from '../options.ts';

export function registerStatus(program: Command, io: Io): void {
  program
    .command('status')
    .argument('[batch]')
    .description('show how a batch stands, or list all batches')
    .option('--follow', 'go on showing until the batch ends')
    .option('--rebuild', 'first read how samples ended from their results, not from the summary')
    .option(...STORE_OPTION)
    .option(...TEMPORAL_OPTION)
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nExamples:\n  $ twinpatch status\n  $ twinpatch status headers --follow\n  $ twinpatch status headers --json\n  $ twinpatch status headers --rebuild',
    )
    .action(async (name, options) => {
      const { isFinished, readBatchState } = await import('../batch-state.ts');
      const { readYield } = await import('../yield.ts');
      const { isPreview } = await import('../../domain/ids.ts');
      const { clientIfRunning, openSession, requireBatch, requireClient } =
        await import('../session.ts');
      const { store, workspace } = await openSession(io, options);
      const names = await store.batches.list();
      const batches = names.filter((each) => !isPreview(each));
      const isList = batches.length > 1 || (batches.length === 0 && names.length !== 1);
      if (name === undefined && isList && options.rebuild !== true) {
        const { client, trouble } = await clientIfRunning(workspace, options);
        const states = [];
        for (const each of names)
          states.push(await readBatchState(store, await requireBatch(store, each), client));
        await client?.connection.close();
        if (options.json) {
          for (const state of states) await printJson(io, state);
          return;
        }
        if (trouble !== undefined && states.some(({ phase }) => phase === 'unknown'))
          await note(io, noteOf(trouble));
        if (states.length === 0)
          return print(io, `no batches in ${store.location}; next: twinpatch run`);
        const rows = states.map((state) => [
          state.batch,
          state.phase,
          state.planned,
          state.planned - state.unfinished,
          state.verified,
          state.accepted,
        ]);
        return write(
          io.stdout,
          renderTable(['batch', 'state', 'planned', 'ended', 'verified', 'accepted'], rows, {
            stream: io.stdout,
            env: io.env,
          }),
        );
      }
      const batch = await requireBatch(store, name);
      if (options.rebuild === true) {
        const { rebuildSummary } = await import('../rebuild-summary.ts');
        await rebuildSummary(io, store, batch.id);
      }
      if (options.follow === true && !isFinished(await readYield(store, batch.id))) {
        const { follow } = await import('../follow.ts');
        const client = await requireClient(workspace, options);
        const turnedAway = new AbortController();
        process.once('SIGINT', () => turnedAway.abort());
        await follow(client, store, batch, turnedAway.signal);
        await client.connection.close();
      }
      const { client, trouble } = await clientIfRunning(workspace, options);
      const state = await readBatchState(store, batch, client);
      await client?.connection.close();
      if (trouble !== undefined && state.phase === 'unknown') await note(io, noteOf(trouble));
      if (options.json) return printJson(io, state);
      const { printYield } = await import('../print-yield.ts');
      const { renderProgress } = await import('../render-progress.ts');
      const [, ...facts] = renderProgress(state, 0).split('\n');
      await print(io, [`${state.batch}: ${state.phase}`, ...facts, ''].join('\n'));
      await printYield(io, store, batch, state);
    });
}

// --- internal ---

function noteOf({ message, next }: CliError): string {
  return `${message}: this is what the store knows\nnext: ${next}`;
}
