/** Every way an endpoint can fail → one kind, decided here and nowhere else. */

import { APIError } from 'openai';
import type { TeacherErrorKind } from '../domain/ports.ts';
import { DeadlinePassed } from './deadlines.ts';
import { asRecord, asText } from './json.ts';

export type TroubleKind = Exclude<TeacherErrorKind, 'budget'>;

/** What became of a call, as far as its kind depends on it. */
export interface Failure {
  /** HTTP status; undefined when no answer came. */
  status?: number;
  headers?: Headers;
  /** The error object of the body. */
  error?: unknown;
  /** The endpoint's words, or the system's. */
  message: string;
}

export interface Trouble {
  kind: TroubleKind;
  /** What people read: the endpoint's words, shortened. */
  reason: string;
  /** How long the endpoint asked to wait. */
  retryAfterMs?: number;
  /** The endpoint can't stream; asked plainly it may answer. */
  refusesStreaming: boolean;
  /** The endpoint was never asked: its key can't be had on this host. */
  isOurs?: true;
}

/** The reply did not come whole, or was no reply. Counts as unavailable. */
export class BrokenReply extends Error {
  override readonly name = 'BrokenReply';
}

const CONTEXT = new RegExp(
  [
    'context[_ ]?length',
    'context[_ ]?(window|size|limit)',
    'maximum (context|model) length',
    'exceed_context',
    'max_model_len',
    'prompt is too long',
    'in(put|struction) is too long',
    '(prompt|input|request|messages?) (tokens? )?(is |are |was )?too (long|large|many)',
    'too many (input |prompt )?tokens',
    'reduce (the length|your prompt|the number of tokens)',
    'input (length|token count|tokens?)\\b.{0,80}\\b(exceed|longer|larger|greater|maximum|max)',
    'range of input length',
    'tokens? .{0,60}\\b(exceed|longer than|more than max|larger than)',
    'exceeds? the (maximum )?(number of )?(allowed )?(input )?tokens?',
    '`?inputs`? tokens \\+ `?max_new_tokens',
    'string_above_max_length',
    'request_too_large',
  ].join('|'),
  'i',
);
const UNKNOWN_MODEL = new RegExp(
  [
    'model_not_found',
    'unknown[_ ]model',
    'invalid[_ ]model',
    'model_not_available',
    'not a valid model',
    '\\bmodels?\\b.{0,120}(does not exist|do not exist|not found|is not available|not supported)',
    'no such model',
  ].join('|'),
  'i',
);
const NO_CREDIT =
  /insufficient_quota|exceeded your current quota|billing_(hard_limit|not_active)|insufficient (credits|balance)/i;
const MODERATION = /moderation|flagged|content[_ ](policy|filter)/i;
const STREAMING_REFUSED =
  /stream(ing|_options)?\b.{0,80}(not |un)(supported|allowed|implemented|known|recognized|permitted)|(unsupported|unknown|unrecognized|extra|unexpected).{0,80}stream|stream_options/i;
const RATE_LIMIT = /rate[_ ]?limit|too many requests|throttl/i;

/** The kind of a failed call. `nowMs` is for a Retry-After that is a date. */
export function classify(failure: Failure, nowMs: number): Trouble {
  const error = asRecord(failure.error);
  const words = [error['code'], error['type'], error['message'], failure.message]
    .map((word) => (typeof word === 'number' ? String(word) : asText(word)))
    .join(' ');
  const status = statusOf(failure.status, error, words);
  const kind = kindOf(status, words);
  const retryAfterMs = parseRetryAfter(failure.headers, nowMs);
  return {
    kind,
    reason: toReason(failure, status),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    refusesStreaming: kind === 'bad-request' && STREAMING_REFUSED.test(words),
  };
}

/** An error inside a reply with status 200 carries its real status in its own fields, or in its words. */
function statusOf(status: number | undefined, error: Record<string, unknown>, words: string) {
  if (status !== 200) return status;
  for (const value of [error['status'], error['code'], error['status_code']]) {
    const number = Number(value);
    if (number >= 400 && number <= 599) return number;
  }
  if (RATE_LIMIT.test(words)) return 429;
  return /invalid_request|BadRequest/i.test(words) ? 400 : undefined;
}

function kindOf(status: number | undefined, words: string): TroubleKind {
  if (status === undefined) return 'unavailable';
  if (status === 402 || NO_CREDIT.test(words)) return 'no-credit';
  if (status === 429) return 'rate-limit';
  if (status === 401) return 'auth';
  if (status === 403) return MODERATION.test(words) ? 'bad-request' : 'auth';
  if (status === 413) return 'context';
  if (status < 400 || [408, 409, 425].includes(status)) return 'unavailable';
  // Some servers answer 500 to a long prompt; waiting would not make it shorter.
  if (status === 400 || status === 422 || status === 500) {
    if (CONTEXT.test(words)) return 'context';
  }
  if (status >= 500) return status === 501 ? 'bad-request' : 'unavailable';
  if (status === 404 || UNKNOWN_MODEL.test(words)) return 'unknown-model';
  return 'bad-request';
}

/** Retry-After in milliseconds from now: seconds, an HTTP date, or OpenAI's `retry-after-ms`; undefined when absent or nonsense. */
export function parseRetryAfter(headers: Headers | undefined, nowMs: number): number | undefined {
  const inMs = Number(headers?.get('retry-after-ms') ?? Number.NaN);
  if (inMs >= 0) return inMs;
  const text = headers?.get('retry-after') ?? '';
  if (/^\s*\d+(\.\d+)?\s*$/.test(text)) return Number(text) * 1000;
  // Date.parse takes "-5" for a year.
  const date = /[a-z]{3}/i.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

const LONGEST_REASON = 300;

function toReason(failure: Failure, status: number | undefined): string {
  const isHtml = /^\s*<(!doctype|html)/i.test(failure.message.replace(/^\d{3} /, ''));
  const words = isHtml ? 'an HTML page instead of a reply' : failure.message;
  const said =
    status === undefined || words.startsWith(String(status)) ? words : `${status} ${words}`;
  // Some endpoints echo the request: its body, which no log or history may hold, starts at the brace.
  const [unechoed = ''] = said.split('{');
  const line = unechoed.replaceAll(/\s+/g, ' ').trim();
  return line.length > LONGEST_REASON ? `${line.slice(0, LONGEST_REASON)}…` : line;
}

/** A thrown value as what the table needs of it. */
export function toFailure(thrown: unknown): Failure {
  if (thrown instanceof APIError && thrown.status !== undefined) {
    return {
      status: thrown.status as number,
      headers: thrown.headers as Headers,
      error: thrown.error,
      message: thrown.message,
    };
  }
  if (thrown instanceof DeadlinePassed || thrown instanceof BrokenReply) {
    return { message: thrown.message };
  }
  return { message: rootMessage(thrown) };
}

/** The innermost cause says it best: `connect ECONNREFUSED 127.0.0.1:8000`. */
function rootMessage(thrown: unknown): string {
  let error = thrown;
  while (error instanceof Error && error.cause instanceof Error) error = error.cause;
  if (error instanceof AggregateError) error = error.errors[0] as unknown;
  if (!(error instanceof Error)) return String(error);
  // Node's word for a connection that ended within a reply.
  if (error.message === 'aborted') return 'the connection broke off within the reply';
  const { code } = error as NodeJS.ErrnoException;
  return code !== undefined && !error.message.includes(code)
    ? `${error.message} (${code})`
    : error.message;
}
