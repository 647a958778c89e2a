/** Turns what ports throw into the closed set of activity failures; nobody parses messages. */

import { ApplicationFailure, CancelledFailure } from '@temporalio/activity';
import { FAILURES, type FailureType, type HeldClass } from '../domain/outcome.ts';
import { EngineUnavailable, ImageError, SandboxLost, TeacherError } from '../domain/ports.ts';
import { PromptError } from '../domain/prompts.ts';
import { LeaseLost, StoreCorrupt, StoreUnavailable } from '../domain/store.ts';
import { Stalled } from './stall-guard.ts';

/** Tries an unexpected error gets before it counts as a bug: most are passing trouble that nobody has named yet. */
const INTERNAL_ERROR_ATTEMPTS = 5;
/** Another sandbox is to be had at once, however often the rollout was cut before; losing them without progress ends by itself. */
const ANOTHER_SANDBOX_MS = 1_000;
/** However long an engine or a store is away, the work goes on a moment after it is back. */
const AWAY_MS = 3_000;

/** A sample that parks: it has no content verdict, and goes on when asked. */
export function held(heldClass: HeldClass, message: string): ApplicationFailure {
  return ApplicationFailure.create({
    type: 'Held',
    message,
    nonRetryable: true,
    details: [heldClass],
  });
}

export function failure(
  type: FailureType,
  message: string,
  options: { cause?: unknown; retryAfterMs?: number | undefined } = {},
): ApplicationFailure {
  return ApplicationFailure.create({
    type,
    message,
    nonRetryable: !FAILURES[type].retryable,
    ...(options.cause instanceof Error && { cause: options.cause }),
    ...(options.retryAfterMs !== undefined && { nextRetryDelay: options.retryAfterMs }),
  });
}

/** The failure an activity ends with. Cancellation and failures already made pass through. */
export function toFailure(error: unknown, attempt: number): Error {
  if (error instanceof ApplicationFailure || error instanceof CancelledFailure) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof TeacherError) return toTeacherFailure(error);
  if (error instanceof ImageError) {
    return failure(error.kind === 'not-found' ? 'ImageNotFound' : 'ImageBuildFailed', message, {
      cause: error,
    });
  }
  if (error instanceof SandboxLost) {
    return failure('SandboxLost', message, { cause: error, retryAfterMs: ANOTHER_SANDBOX_MS });
  }
  if (error instanceof EngineUnavailable) {
    return failure('EngineUnavailable', message, { cause: error, retryAfterMs: AWAY_MS });
  }
  if (error instanceof StoreUnavailable) {
    return failure('StoreUnavailable', message, { cause: error, retryAfterMs: AWAY_MS });
  }
  if (error instanceof StoreCorrupt) return failure('StoreCorrupt', message, { cause: error });
  if (error instanceof Stalled) return failure('Stalled', message, { cause: error });
  if (error instanceof LeaseLost) return failure('LeaseLost', message, { cause: error });
  if (error instanceof PromptError) return failure('InvalidConfig', message, { cause: error });
  return ApplicationFailure.create({
    type: 'InternalError' satisfies FailureType,
    message,
    nonRetryable: attempt >= INTERNAL_ERROR_ATTEMPTS,
    ...(error instanceof Error && { cause: error }),
  });
}

// --- internal ---

function toTeacherFailure(error: TeacherError): ApplicationFailure {
  const { message, retryAfterMs } = error;
  switch (error.kind) {
    case 'rate-limit':
    case 'unavailable':
      return failure('TeacherUnavailable', message, { cause: error, retryAfterMs });
    case 'auth':
    case 'no-credit':
    case 'unknown-model':
      // Blocked until somebody mends it: worth a look every half minute, never worth a sample.
      return failure('TeacherBlocked', message, { cause: error, retryAfterMs: 30_000 });
    case 'budget':
      return held('budget', message);
    case 'context':
    case 'bad-request':
      return failure('TeacherBadRequest', message, { cause: error });
  }
}
