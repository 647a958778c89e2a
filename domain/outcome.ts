/** How things end: rollouts with a status, samples with a verdict, activities with a typed failure. */

/** Why a rollout stopped. Only `submitted` is the agent's own end; every other is a limit. */
export const ROLLOUT_STATUSES = [
  'submitted',
  'step-limit',
  'context-limit',
  'format-errors',
  'command-timeouts',
  'tool-time-limit',
  'token-limit',
  'time-limit',
  'cost-limit',
  'disk-limit',
] as const;
export type RolloutStatus = (typeof ROLLOUT_STATUSES)[number];

export type UnverifiableReason =
  | Exclude<RolloutStatus, 'submitted'>
  | 'self-check'
  | 'duplicate'
  | 'empty-patch'
  /** The patch has no line that recall counts: renames, modes or binary files only. */
  | 'uncountable-patch'
  /** The patch breaks a cap on bytes, entries, depth or path length. */
  | 'oversized-patch'
  /** The teacher wrote no usable pull-request text. */
  | 'no-pr';

export type HeldClass = 'budget' | 'no-progress';

/**
 * How a sample ended. `verified` and `unverifiable` are content verdicts and final; `held` goes on when asked;
 * `infrastructure` is permanent trouble of a known type.
 */
export type Verdict =
  | { kind: 'verified' }
  | { kind: 'unverifiable'; reason: UnverifiableReason }
  | { kind: 'held'; class: HeldClass }
  | { kind: 'infrastructure'; class: FailureType };

/** `verified`, `unverifiable:self-check`, `held:budget`, `infrastructure:ImageNotFound`. */
export function renderVerdict(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'verified':
      return 'verified';
    case 'unverifiable':
      return `unverifiable:${verdict.reason}`;
    case 'held':
    case 'infrastructure':
      return `${verdict.kind}:${verdict.class}`;
  }
}

export function isContentVerdict(verdict: Verdict): boolean {
  return verdict.kind === 'verified' || verdict.kind === 'unverifiable';
}

/** What stands after the colon of a rendered verdict; undefined for `verified`. */
export function reasonOf(verdict: Verdict): string | undefined {
  return renderVerdict(verdict).split(':')[1];
}

/** Samples without a content verdict that start again, of those that have ended: of these verdicts, or with these keys. */
export interface FailedChoice {
  verdicts: string[];
  keys: string[];
}

export function isChosen(
  { verdicts, keys }: FailedChoice,
  { key, verdict }: { key: string; verdict: Verdict },
): boolean {
  return keys.includes(key) || verdicts.includes(renderVerdict(verdict));
}

/** What is in either choice; undefined stands for all. */
export function eitherChoice(
  one: FailedChoice | undefined,
  other: FailedChoice | undefined,
): FailedChoice | undefined {
  if (one === undefined || other === undefined) return undefined;
  const union = (a: string[], b: string[]) => [...new Set([...a, ...b])];
  return { verdicts: union(one.verdicts, other.verdicts), keys: union(one.keys, other.keys) };
}

/** The closed table of activity failures: type → is trying again any use? */
export const FAILURES = {
  TeacherUnavailable: { retryable: true },
  TeacherBlocked: { retryable: true },
  TeacherBadRequest: { retryable: false },
  SandboxLost: { retryable: true },
  EngineUnavailable: { retryable: true },
  StoreUnavailable: { retryable: true },
  StoreCorrupt: { retryable: false },
  WorkerRestarted: { retryable: true },
  LeaseLost: { retryable: true },
  Draining: { retryable: true },
  /** No progress within its deadline. */
  Stalled: { retryable: true },
  ImageNotFound: { retryable: false },
  ImageBuildFailed: { retryable: false },
  InvalidSample: { retryable: false },
  InvalidConfig: { retryable: false },
  ForeignStore: { retryable: false },
  PayloadTooLarge: { retryable: false },
  /** An error nobody expected, again after several tries: a bug. */
  InternalError: { retryable: false },
  Held: { retryable: false },
} as const satisfies Record<string, { retryable: boolean }>;

export type FailureType = keyof typeof FAILURES;
