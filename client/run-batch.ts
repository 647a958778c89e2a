/** Starts a batch that is in the store and follows it to its end; Ctrl-C turns away from it, a second one cancels it. */

import { batchWorkflowId } from '../domain/ids.ts';
import type { FailedChoice } from '../domain/outcome.ts';
import type { BatchRecord } from '../domain/store.ts';
import { cancelSignal } from '../workflows/messages.ts';
import { type BatchState, isFinished, readBatchState } from './batch-state.ts';
import { CliError, EXIT } from './errors.ts';
import { follow } from './follow.ts';
import { bringUp, type Running, type ServerOptions, startBatch } from './launch.ts';
import { type Io, note, printJson } from './output.ts';
import { printYield } from './print-yield.ts';
import type { Session } from './session.ts';

export interface RunOptions extends ServerOptions {
  window?: number | undefined;
  detach?: boolean | undefined;
  json?: boolean | undefined;
  /** Of the samples that failed, those that start again; all where it is missing. */
  again?: FailedChoice | undefined;
}

/** Runs a batch, prints its yield, and sets the exit code. Throws CliError when it could not be run. */
export async function runToEnd(
  io: Io,
  session: Session,
  batch: BatchRecord,
  options: RunOptions,
): Promise<void> {
  const state = await runBatch(io, session, batch, options);
  if (state === undefined) return;
  if (options.json) await printJson(io, state);
  else await printYield(io, session.store, batch, state);
  process.exitCode = exitCodeOf(state);
}

/** Returns how the batch stands at its end; undefined when the user turned away from it. */
export async function runBatch(
  io: Io,
  { store, workspace }: Session,
  batch: BatchRecord,
  options: RunOptions,
): Promise<BatchState | undefined> {
  const stored = await readBatchState(store, batch, undefined);
  if (isFinished(stored)) {
    await note(
      io,
      `${batch.id}: all ${stored.planned} samples are in the store already, nothing is left to do`,
    );
    return stored;
  }
  for (const name of missingKeys(batch, io.env)) {
    await note(
      io,
      `warning: ${name} is not set here; a worker without it waits before its first call`,
    );
  }
  const running = await bringUp(workspace, options, (line) => void note(io, line));
  const { client } = running;
  try {
    if (options.window !== undefined) {
      await store.tunings.change(batch.id, { window: options.window });
    }
    const { window } = await store.tunings.read(batch.id);
    await startBatch(client, batch, window, options.again);
    if (running.server.ui !== undefined) await note(io, `Temporal UI: ${uiOf(running, batch)}`);
    if (options.detach === true) {
      await note(
        io,
        `${batch.id} runs in the background; next: twinpatch status ${batch.id} --follow`,
      );
      return undefined;
    }
    const turnedAway = new AbortController();
    const interrupts = onInterrupts(io, running, batch, turnedAway);
    try {
      const end = await follow(client, store, batch, turnedAway.signal);
      if (end !== 'detached') return end;
      await interrupts.settled();
      return undefined;
    } finally {
      interrupts.stop();
    }
  } finally {
    await client.connection.close();
  }
}

/** Variables of keys that a worker started from here would not have. */
function missingKeys({ config }: BatchRecord, env: NodeJS.ProcessEnv): string[] {
  const names = config.teacher.endpoints.flatMap(({ apiKeyEnv }) => apiKeyEnv ?? []);
  return [...new Set(names)].filter((name) => !env[name]);
}

/** Infrastructure trouble is a failure even where other samples are done. */
export function exitCodeOf(state: BatchState): number {
  if (state.verdicts['held:budget'] !== undefined) return EXIT.budgetReached;
  return state.infrastructure > 0 ? EXIT.failed : EXIT.done;
}

/** The batch's page in the UI of the embedded server. */
export function uiOf({ server }: Pick<Running, 'server'>, { id }: BatchRecord): string {
  const query = encodeURIComponent(`TwinpatchBatch='${id}'`);
  return `${server.ui}/namespaces/${server.namespace}/workflows?query=${query}`;
}

// --- internal ---

/** A second interrupt counts as such for this long after the first. */
const SECOND_MS = 3_000;

function onInterrupts(
  io: Io,
  { client }: Running,
  batch: BatchRecord,
  turnedAway: AbortController,
) {
  let second: (() => void) | undefined;
  let cancelling: Promise<void> | undefined;
  const onInterrupt = () => {
    if (!turnedAway.signal.aborted) {
      turnedAway.abort();
      return;
    }
    cancelling ??= cancel();
    second?.();
  };
  const cancel = async () => {
    await note(io, 'cancelling …');
    const handle = client.workflow.getHandle(batchWorkflowId(batch.id));
    await handle.signal(cancelSignal, 'now');
    await handle.result();
    throw new CliError(EXIT.interrupted, `${batch.id} was cancelled; what is done stays`, {
      next: `twinpatch resume ${batch.id}`,
    });
  };
  process.on('SIGINT', onInterrupt);
  return {
    /** Leaves time for the second interrupt. Throws CliError when it came. */
    async settled(): Promise<void> {
      await note(
        io,
        `${batch.id} goes on in the background; Ctrl-C again cancels it.\nnext: twinpatch status ${batch.id} --follow, or twinpatch cancel ${batch.id}`,
      );
      await new Promise<void>((settle) => {
        second = settle;
        setTimeout(settle, SECOND_MS);
      });
      await cancelling;
    },
    stop: () => void process.off('SIGINT', onInterrupt),
  };
}
