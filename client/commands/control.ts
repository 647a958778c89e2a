/** `pause`, `resume`, `cancel`, `retry`: what can be asked of a batch that was started. */

import type { Command } from '@commander-js/extra-typings';
import { CliError, EXIT } from '../errors.ts';
import { type Io, note, print } from '../output.ts';
import {
  collect,
  parseCount,
  parsePort,
  JSON_OPTION,
  STORE_OPTION,
  TEMPORAL_OPTION,
} from '../options.ts';

export function registerPause(program: Command, io: Io): void {
  program
    .command('pause')
    .argument('[batch]')
    .description('start no more samples; those under way end')
    .option(...STORE_OPTION)
    .option(...TEMPORAL_OPTION)
    .addHelpText('after', '\nExample:\n  $ twinpatch pause headers')
    .action(async (name, options) => {
      const { batch, handle } = await runningBatch(io, name, options);
      if (handle === undefined) return;
      const { pauseSignal } = await import('../../workflows/messages.ts');
      await handle.signal(pauseSignal);
      await print(io, `${batch.id} is paused; next: twinpatch resume ${batch.id}`);
    });
}

export function registerCancel(program: Command, io: Io): void {
  program
    .command('cancel')
    .argument('[batch]')
    .description('end a batch: what is under way is dropped, what is done stays')
    .option('--drain', 'let the samples under way end first')
    .option(...STORE_OPTION)
    .option(...TEMPORAL_OPTION)
    .addHelpText(
      'after',
      '\nExamples:\n  $ twinpatch cancel headers\n  $ twinpatch cancel headers --drain',
    )
    .action(async (name, options) => {
      const { batch, store, client, handle } = await runningBatch(io, name, options);
      if (handle === undefined) return;
      const { readBatchState } = await import('../batch-state.ts');
      const { cancelSignal } = await import('../../workflows/messages.ts');
      await handle.signal(cancelSignal, options.drain ? 'drain' : 'now');
      await note(io, options.drain ? 'waiting for the samples under way …' : 'cancelling …');
      const { phase } = await readBatchState(store, batch, client);
      if (phase === 'no worker') {
        await note(io, 'no worker answers, and it ends once one does; next: twinpatch up');
      }
      await handle.result();
      await print(io, `${batch.id} is cancelled; next: twinpatch resume ${batch.id} to go on`);
    });
}

export function registerResume(program: Command, io: Io): void {
  program
    .command('resume')
    .argument('[batch]')
    .description(
      'go on with every sample that has no content verdict; finished stages come from the store',
    )
    .option('--window <n>', 'samples under way at once', parseCount)
    .option('--detach', 'return at once')
    .option(...STORE_OPTION)
    .option(...TEMPORAL_OPTION)
    .option('--port <port>', 'port of the embedded server, when it has to be started', parsePort)
    .option('--slots <n>', 'rollouts at once, when a worker has to be started', parseCount)
    .option(...JSON_OPTION)
    .addHelpText('after', '\nExample:\n  $ twinpatch resume headers')
    .action(async (name, options) => {
      const { openSession, requireBatch } = await import('../session.ts');
      const { runToEnd } = await import('../run-batch.ts');
      const session = await openSession(io, options);
      await runToEnd(io, session, await requireBatch(session.store, name), options);
    });
}

export function registerRetry(program: Command, io: Io): void {
  program
    .command('retry')
    .argument('<batch>')
    .description(
      'do ended samples again from the start; with --failed, go on with samples that failed, from where they were',
    )
    .option(
      '--failed',
      'samples that were held or met infrastructure trouble; nothing is bought twice',
    )
    .option(
      '--where <condition>',
      'verdict=VERDICT or reason=REASON (as `status` shows them), or sample=KEY; repeatable',
      collect,
      [],
    )
    .option('--detach', 'return at once')
    .option(...STORE_OPTION)
    .option(...TEMPORAL_OPTION)
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nSamples that are not chosen are left alone.\n\nExamples:\n  $ twinpatch retry headers --where verdict=unverifiable:self-check\n  $ twinpatch retry headers --where sample=000017-1a2b3c\n  $ twinpatch retry headers --failed\n  $ twinpatch retry headers --failed --where reason=ImageBuildFailed',
    )
    .action(async (name, { failed, where, ...options }) => {
      const { openSession, requireBatch } = await import('../session.ts');
      const { runToEnd } = await import('../run-batch.ts');
      const { chooseFailed, renewWhere } = await import('../retry.ts');
      if (where.length === 0 && !failed) {
        throw new CliError(EXIT.usage, 'which samples? — give --failed or --where', {
          next: 'twinpatch retry --help',
        });
      }
      const session = await openSession(io, options);
      const batch = await requireBatch(session.store, name);
      const { count, ...again } = failed
        ? await chooseFailed(session.store, batch.id, where)
        : { count: await renewWhere(session.store, batch.id, where), verdicts: [], keys: [] };
      if (count === 0) {
        const wanted = [...(failed ? ['--failed'] : []), ...where].join(', ');
        throw new CliError(EXIT.failed, `no ended sample of ${batch.id} matches — ${wanted}`, {
          next: `twinpatch status ${batch.id}`,
        });
      }
      await note(io, `${count} samples ${failed ? 'go on' : 'start again'}`);
      await runToEnd(io, session, batch, { ...options, again });
    });
}

// --- internal ---

/** The workflow of a batch that runs; none, and the batch's counts are printed, when it is finished. Throws CliError. */
async function runningBatch(
  io: Io,
  name: string | undefined,
  options: { store?: string; temporal?: string },
) {
  const { batchWorkflowId } = await import('../../domain/ids.ts');
  const { isFinished, readBatchState } = await import('../batch-state.ts');
  const { renderCounts } = await import('../render-progress.ts');
  const { openSession, requireBatch, requireClient } = await import('../session.ts');
  const { store, workspace } = await openSession(io, options);
  const batch = await requireBatch(store, name);
  const state = await readBatchState(store, batch, undefined);
  if (isFinished(state)) {
    const counts = `${state.planned}/${state.planned} ended: ${renderCounts(state)}`;
    await print(io, `${batch.id} is finished already, ${counts}`);
    return { batch, store };
  }
  const client = await requireClient(workspace, options);
  const handle = client.workflow.getHandle(batchWorkflowId(batch.id));
  const running = await handle.describe().then(
    ({ status }) => status.name === 'RUNNING',
    () => false,
  );
  if (!running) {
    throw new CliError(EXIT.failed, `${batch.id} does not run`, {
      next: `twinpatch resume ${batch.id}`,
    });
  }
  return { batch, store, client, handle };
}
