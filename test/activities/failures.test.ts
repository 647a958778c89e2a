import { ApplicationFailure, CancelledFailure } from '@temporalio/activity';
import { expect, test } from 'vitest';
import { failure, toFailure } from '../../activities/failures.ts';
import { EngineUnavailable, ImageError, SandboxLost, TeacherError } from '../../domain/ports.ts';
import { PromptError } from '../../domain/prompts.ts';
import { LeaseLost, StoreCorrupt, StoreUnavailable } from '../../domain/store.ts';

const message = 'what happened';

test.each([
  { error: new TeacherError('rate-limit', message), type: 'TeacherUnavailable', retryable: true },
  { error: new TeacherError('unavailable', message), type: 'TeacherUnavailable', retryable: true },
  { error: new TeacherError('auth', message), type: 'TeacherBlocked', retryable: true },
  { error: new TeacherError('unknown-model', message), type: 'TeacherBlocked', retryable: true },
  { error: new TeacherError('budget', message), type: 'Held', retryable: false },
  { error: new TeacherError('context', message), type: 'TeacherBadRequest', retryable: false },
  { error: new TeacherError('bad-request', message), type: 'TeacherBadRequest', retryable: false },
  { error: new ImageError('not-found', message), type: 'ImageNotFound', retryable: false },
  { error: new ImageError('build-failed', message), type: 'ImageBuildFailed', retryable: false },
  { error: new SandboxLost(message), type: 'SandboxLost', retryable: true },
  { error: new EngineUnavailable(message), type: 'EngineUnavailable', retryable: true },
  { error: new StoreUnavailable(message), type: 'StoreUnavailable', retryable: true },
  { error: new StoreCorrupt(message), type: 'StoreCorrupt', retryable: false },
  { error: new LeaseLost(message), type: 'LeaseLost', retryable: true },
  { error: new PromptError(message), type: 'InvalidConfig', retryable: false },
  { error: new Error(message), type: 'InternalError', retryable: true },
  { error: message, type: 'InternalError', retryable: true },
])('$error becomes $type', ({ error, type, retryable }) => {
  const made = toFailure(error, 1);
  expect(made).toBeInstanceOf(ApplicationFailure);
  expect(made).toMatchObject({ type, nonRetryable: !retryable, message });
});

test('an error nobody expected is a bug at its fifth try', () => {
  expect(toFailure(new Error(message), 4)).toMatchObject({ nonRetryable: false });
  expect(toFailure(new Error(message), 5)).toMatchObject({ nonRetryable: true });
});

test('a teacher that says when to come back is asked then', () => {
  const error = new TeacherError('rate-limit', message, { retryAfterMs: 7_000 });
  expect(toFailure(error, 1)).toMatchObject({ nextRetryDelay: 7_000 });
});

test('a lost sandbox is replaced at once, whatever the attempt', () => {
  expect(toFailure(new SandboxLost(message), 9)).toMatchObject({ nextRetryDelay: 1_000 });
});

test('a spent budget holds the sample by its class', () => {
  expect(toFailure(new TeacherError('budget', message), 1)).toMatchObject({ details: ['budget'] });
});

test.each([new CancelledFailure('cancelled'), failure('InvalidSample', message)])(
  '%s passes as it is',
  (error) => {
    expect(toFailure(error, 1)).toBe(error);
  },
);
