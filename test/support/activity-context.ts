/** What a worker gives an activity, without a worker. */

import { asyncLocalStorage, CancelledFailure, Context, type Info } from '@temporalio/activity';
import { ActivityCancellationDetails, type Logger, noopMetricMeter } from '@temporalio/common';

export interface ActivityRun<T> {
  result: Promise<T>;
  /** Details of the heartbeats, in order. */
  beats: unknown[];
  /** Cancels it: because its workflow was, the worker shuts down, or the server has given it up. */
  cancel(why?: 'cancelRequested' | 'workerShutdown' | 'timedOut'): void;
}

/** Runs an activity in a context of its own; `attempt` is 1-based, as the server counts. */
export function startActivity<T>(work: () => Promise<T>, attempt = 1): ActivityRun<T> {
  const aborter = new AbortController();
  const beats: unknown[] = [];
  const details: { details?: ActivityCancellationDetails } = {};
  const cancelled = new Promise<never>((_, reject) =>
    aborter.signal.addEventListener('abort', () => reject(aborter.signal.reason)),
  );
  cancelled.catch(() => undefined);
  const context = new Context(
    { attempt } as Info,
    cancelled,
    aborter.signal,
    (beat: unknown) => beats.push(beat),
    undefined,
    SILENT,
    noopMetricMeter,
    details,
  );
  return {
    result: asyncLocalStorage.run(context, work),
    beats,
    cancel(why = 'cancelRequested') {
      details.details = new ActivityCancellationDetails({ [why]: true });
      aborter.abort(new CancelledFailure('cancelled'));
    },
  };
}

export function runActivity<T>(work: () => Promise<T>, attempt = 1): Promise<T> {
  return startActivity(work, attempt).result;
}

// --- internal ---

const nothing = () => undefined;
const SILENT: Logger = {
  log: nothing,
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
};
