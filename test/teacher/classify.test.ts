import { describe, expect, it } from 'vitest';
import { classify, type Failure, toFailure, type TroubleKind } from '../../teacher/classify.ts';

function kindOf(failure: Partial<Failure>): TroubleKind {
  return classify({ message: '', ...failure }, 0).kind;
}

describe('a failed call', () => {
  it.each<[TroubleKind, number, string]>([
    ['rate-limit', 429, 'Rate limit reached for requests'],
    ['rate-limit', 429, 'Request too large on tokens per min (TPM): maximum 30000'],
    [
      'no-credit',
      429,
      'You exceeded your current quota, please check your plan and billing details.',
    ],
    ['no-credit', 402, 'Insufficient credits'],
    ['auth', 401, 'Unauthorized'],
    ['auth', 403, 'Country not supported'],
    ['bad-request', 403, 'Input was flagged by moderation'],
    ['unknown-model', 404, 'The model `x` does not exist or you do not have access to it.'],
    ['unknown-model', 404, '<html>Not found</html>'],
    ['unknown-model', 400, 'x is not a valid model ID'],
    ['unknown-model', 400, 'Model x not found, try pulling it first'],
    ['unavailable', 408, 'timeout'],
    ['unavailable', 409, 'conflict'],
    ['unavailable', 301, 'Moved'],
    ['unavailable', 500, 'Internal error'],
    ['unavailable', 502, 'Bad gateway'],
    ['unavailable', 503, 'Service unavailable'],
    ['unavailable', 504, 'Gateway timeout'],
    ['unavailable', 529, 'Overloaded'],
    ['bad-request', 501, 'Not implemented'],
    ['bad-request', 400, "Invalid value for 'temperature'"],
    ['bad-request', 400, 'max_tokens must be at least 1'],
    ['bad-request', 422, 'field required: messages'],
    ['context', 413, 'Request Entity Too Large'],
    [
      'context',
      400,
      "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
    ],
    ['context', 400, 'context_length_exceeded'],
    [
      'context',
      400,
      "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
    ],
    ['context', 400, 'prompt is too long: 205000 tokens > 200000 maximum'],
    ['context', 400, 'Input is too long for requested model.'],
    [
      'context',
      400,
      'The input token count (1200000) exceeds the maximum number of tokens allowed',
    ],
    ['context', 400, 'Please reduce the length of the messages or completion.'],
    ['context', 400, 'the request exceeds the available context size, try increasing it'],
    ['context', 500, 'the request exceeds the available context size'],
    ['context', 400, 'Range of input length should be [1, 129024]'],
    [
      'context',
      400,
      'Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length',
    ],
    ['context', 422, '`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 and 100'],
    ['context', 400, 'exceed_context_size_error'],
    [
      'context',
      400,
      'Requested token count exceeds the model’s maximum context length of 65536 tokens.',
    ],
    ['context', 400, 'Too many input tokens'],
  ])('is %s when the endpoint says %i "%s"', (kind, status, message) => {
    expect(kindOf({ status, message })).toBe(kind);
  });

  it.each<[TroubleKind, unknown]>([
    ['rate-limit', { code: 429, message: 'Provider returned error' }],
    ['rate-limit', { type: 'rate_limit_error', message: 'slow down' }],
    ['unavailable', { code: 502, message: 'upstream' }],
    ['unavailable', { message: 'who knows' }],
    ['context', { code: 400, message: 'maximum context length is 10 tokens' }],
    ['context', { type: 'invalid_request_error', message: 'prompt is too long' }],
    ['auth', { code: '401', message: 'no' }],
  ])('is %s for an error inside a reply with status 200: %j', (kind, error) => {
    expect(kindOf({ status: 200, error })).toBe(kind);
  });

  it.each([
    ['ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1'],
    ['ENOTFOUND', 'getaddrinfo ENOTFOUND host'],
    ['ECONNRESET', 'socket hang up'],
    ['CERT_HAS_EXPIRED', 'certificate has expired'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'unable to verify the first certificate'],
    ['EPROTO', 'wrong version number'],
  ])('is unavailable after %s, and the reason names it', (code, message) => {
    const cause = Object.assign(new Error(message), { code });
    const trouble = classify(toFailure(new Error('Connection error.', { cause })), 0);
    expect(trouble).toMatchObject({ kind: 'unavailable' });
    expect(trouble.reason).toContain(message);
    expect(trouble.reason).toContain(code);
  });

  it('is quoted in one short line, and a page not at all', () => {
    const reason = (message: string) => classify({ status: 500, message }, 0).reason;
    expect(reason('a\n b')).toBe('500 a b');
    expect(reason('x'.repeat(5000)).length).toBeLessThan(320);
    expect(reason('<!DOCTYPE html><body>secret</body>')).toBe(
      '500 an HTML page instead of a reply',
    );
  });

  it.each([
    [400, 'Streaming is not supported for this model', true],
    [400, 'Unrecognized request argument supplied: stream_options', true],
    [422, 'extra fields not permitted: stream', true],
    [400, 'temperature is too high', false],
    [500, 'stream is not supported', false],
  ])('with %i "%s" refuses streaming: %s', (status, message, refuses) => {
    expect(classify({ status, message }, 0).refusesStreaming).toBe(refuses);
  });
});
