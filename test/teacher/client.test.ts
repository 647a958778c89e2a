import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { TeacherErrorKind } from '../../domain/ports.ts';
import {
  type Behaviour,
  CALL,
  CHUNKS,
  good,
  MESSAGES,
  SAID,
  startLoopback,
  startTeacher,
  status,
  toSse,
} from './loopback.ts';

/** Sends this much of a stream, then nothing more. */
function hangAfter(text: string): Behaviour {
  return (response) => {
    response.setHeader('content-type', 'text/event-stream');
    if (text !== '') response.write(text);
  };
}

function stream(text: string | Buffer, headers: Record<string, string> = {}): Behaviour {
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', ...headers });
    response.end(text);
  };
}

const cut: Behaviour = (response) => {
  response.setHeader('content-type', 'text/event-stream');
  response.write(toSse(CHUNKS.slice(0, 5), { done: false }), () => response.destroy());
};

const drip: Behaviour = (response) => {
  response.setHeader('content-type', 'text/event-stream');
  const timer = setInterval(() => response.write(': '), 50);
  response.once('close', () => clearInterval(timer));
};

describe('a reply', () => {
  it('comes with its parts apart, its price, and the time it took', async () => {
    const endpoint = await startLoopback(good);
    const { ask } = startTeacher([endpoint], {
      config: { price: { input: 1, cachedInput: 0.5, output: 10 } },
    });
    const completion = await ask();
    expect(completion).toMatchObject({
      message: SAID,
      finishReason: 'tool_calls',
      usage: { inputTokens: 100, cachedInputTokens: 64, outputTokens: 20, reasoningTokens: 0 },
      model: 'm-1',
      endpoint: endpoint.host,
      simulated: false,
    });
    expect(completion.costUsd).toBeCloseTo((36 * 1 + 64 * 0.5 + 20 * 10) / 1e6, 12);
  });

  it.each([
    ['CRLF line ends', stream(toSse(CHUNKS, { lineEnd: '\r\n' }))],
    ['CR line ends', stream(toSse(CHUNKS, { lineEnd: '\r' }))],
    ['a byte order mark', stream(`\uFEFF${toSse(CHUNKS)}`)],
    ['comments between the events', stream(`: waiting\n\n${toSse(CHUNKS)}`)],
    ['data in several lines', stream(toSse(CHUNKS).replaceAll('"choices"', '\ndata: "choices"'))],
    ['no [DONE]', stream(toSse(CHUNKS, { done: false }))],
    ['no blank line at the end', stream(toSse(CHUNKS).trimEnd())],
    ['the type of plain text', stream(toSse(CHUNKS), { 'content-type': 'text/plain' })],
    [
      'gzip, though nobody asked for it',
      ((response) => {
        response.writeHead(200, {
          'content-type': 'text/event-stream',
          'content-encoding': 'gzip',
        });
        response.end(gzipSync(toSse(CHUNKS)));
      }) satisfies Behaviour,
    ],
    [
      'a byte at a time',
      (async (response) => {
        response.setHeader('content-type', 'text/event-stream');
        for (const byte of Buffer.from(toSse(CHUNKS))) {
          response.write(Buffer.of(byte));
          await new Promise(setImmediate);
        }
        response.end();
      }) satisfies Behaviour,
    ],
    ['a connection that stays open after [DONE]', hangAfter(toSse(CHUNKS))],
    [
      'a plain body although a stream was asked for',
      status(200, {
        model: 'm-1',
        choices: [
          {
            message: {
              content: SAID.content,
              reasoning: SAID.reasoning,
              tool_calls: [{ id: 'c1', function: { name: 'bash', arguments: '{"command":"ls"}' } }],
            },
            finish_reason: 'tool_calls',
          },
        ],
        usage: CHUNKS.at(-1)?.usage,
      }),
    ],
  ])('is read the same with %s', async (_, behaviour) => {
    const { ask } = startTeacher([await startLoopback(behaviour)]);
    expect(await ask()).toMatchObject({ message: SAID, usage: { inputTokens: 100 } });
  });

  it('cut at any byte is complete, or discarded whole and asked for again', async () => {
    const text = Buffer.from(toSse(CHUNKS));
    let cutAt = 0;
    let isSecondTry = false;
    const endpoint = await startLoopback((response, received) => {
      stream(isSecondTry ? text : text.subarray(0, cutAt))(response, received);
      isSecondTry = true;
    });
    const { ask } = startTeacher([endpoint]);
    // The reply is whole once its finish reason is there; what follows is usage and the end mark.
    const wholeAt = text.indexOf('"finish_reason":"tool_calls"') + 32;
    for (cutAt = 0; cutAt <= text.length; cutAt += 1) {
      // Between events is where a cut looks like an end; elsewhere some places will do.
      if (cutAt % 9 !== 0 && text[cutAt - 1] !== 0x0a) continue;
      isSecondTry = false;
      const before = endpoint.received.length;
      expect((await ask()).message).toEqual(SAID);
      const tries = endpoint.received.length - before;
      if (cutAt < wholeAt) expect(tries).toBe(2);
    }
  });

  it('that keeps coming slowly is waited for, longer than the idle deadline in all', async () => {
    const pieces = toSse(CHUNKS).match(/[^]{1,90}/g) ?? [];
    const endpoint = await startLoopback((response) => {
      response.setHeader('content-type', 'text/event-stream');
      const timer = setInterval(() => {
        const piece = pieces.shift();
        if (piece === undefined) {
          clearInterval(timer);
          response.end();
        } else response.write(piece);
      }, 40);
    });
    const { ask, waited } = startTeacher([endpoint]);
    expect(pieces.length * 40).toBeGreaterThan(300);
    expect((await ask()).message).toEqual(SAID);
    expect(waited).toEqual([]);
  });

  it('without usage has estimated tokens and no price', async () => {
    const endpoint = await startLoopback(stream(toSse(CHUNKS.slice(0, -1))));
    const { ask } = startTeacher([endpoint], { config: { price: { input: 1, output: 1 } } });
    const { usage, costUsd } = await ask();
    expect(costUsd).toBeNull();
    expect(usage.inputTokens).toBeGreaterThan(0);
    expect(usage.outputTokens).toBeGreaterThan(5);
  });

  it('has no price where none is known, rather than 0', async () => {
    const { ask } = startTeacher([await startLoopback(good)]);
    expect((await ask()).costUsd).toBeNull();
  });
});

describe('temporary trouble is waited out in place', () => {
  it.each<[string, Behaviour]>([
    ['429', status(429, { error: { message: 'slow down' } })],
    ['500', status(500, { error: { message: 'oops' } })],
    ['502 with a page', status(502, '<html><body>Bad Gateway</body></html>')],
    ['503', status(503, { detail: 'loading' })],
    ['504', status(504, '')],
    ['529', status(529, { error: { type: 'overloaded_error', message: 'Overloaded' } })],
    ['a connection reset before headers', (response) => response.destroy()],
    ['a cut stream', cut],
    ['a stream that ends inside a call', stream(toSse(CHUNKS.slice(0, 5), { done: false }))],
    ['a stream with something else than JSON', stream('data: {"choices": [{]}\n\n')],
    ['an empty stream', stream('')],
    [
      'a page with status 200',
      (response) => {
        response.setHeader('content-type', 'text/html');
        response.end('<html>Sign in</html>');
      },
    ],
    ['an error with status 200', status(200, { error: { message: 'upstream failed', code: 502 } })],
    ['an error within the stream', stream('data: {"error": {"message": "worker died"}}\n\n')],
    ['no choices', status(200, { choices: [] })],
    ['gzip that is none', stream('this is not compressed', { 'content-encoding': 'gzip' })],
    ['silence before headers', () => undefined],
    ['silence before the first byte', hangAfter('')],
    ['silence within the reply', hangAfter(toSse(CHUNKS.slice(0, 5), { done: false }))],
  ])('%s', async (_, trouble) => {
    const endpoint = await startLoopback(trouble, good);
    const { ask, waited, waits } = startTeacher([endpoint]);
    expect((await ask()).message).toEqual(SAID);
    expect(endpoint.received).toHaveLength(2);
    expect(waited).toHaveLength(1);
    expect(waits).toMatchObject([{ endpoint: endpoint.host }, null]);
  });

  it('says what is waited for in words people understand', async () => {
    const { ask, waits } = startTeacher([await startLoopback(cut, good)]);
    await ask();
    expect(waits[0]?.reason).toMatch(
      /gives no usable reply for m; the connection broke off within the reply\. It is/,
    );
    expect(waits[0]?.untilMs).toBeGreaterThan(Date.parse('2030-01-01T00:00:00Z'));
  });

  it('a reply that drips for ever ends at the total deadline', async () => {
    const endpoint = await startLoopback(drip, good);
    const { ask } = startTeacher([endpoint], {
      config: { deadlines: { firstByteMs: 300, idleMs: 300, totalMs: 500 } },
    });
    expect((await ask()).message).toEqual(SAID);
    expect(endpoint.received).toHaveLength(2);
  });

  it.each<[string, Record<string, string>, number, number]>([
    ['seconds', { 'retry-after': '7' }, 7000, 7700],
    ['a date', { 'retry-after': 'Tue, 01 Jan 2030 00:00:20 GMT' }, 20_000, 22_000],
    ['milliseconds', { 'retry-after-ms': '1500' }, 1500, 1650],
    ['nonsense', { 'retry-after': 'soon' }, 200, 500],
    ['nothing', {}, 200, 500],
  ])('Retry-After as %s is honoured', async (_, headers, least, most) => {
    const endpoint = await startLoopback(status(429, {}, headers), good);
    const { ask, waited } = startTeacher([endpoint]);
    await ask();
    expect(waited).toHaveLength(1);
    expect(waited[0]).toBeGreaterThanOrEqual(least);
    expect(waited[0]).toBeLessThanOrEqual(most);
  });

  it('an absurd Retry-After gives the call back at once, with a bounded time', async () => {
    const endpoint = await startLoopback(status(429, {}, { 'retry-after': '99999999' }));
    const error = await startTeacher([endpoint]).askInVain();
    expect(error.kind).toBe('rate-limit');
    expect(error.retryAfterMs).toBe(600_000);
  });

  it('after five minutes the call is given back, with the reason and what to do', async () => {
    const endpoint = await startLoopback(status(503, { error: { message: 'model is loading' } }));
    const { askInVain, waited } = startTeacher([endpoint]);
    const error = await askInVain();
    expect(error).toMatchObject({ kind: 'unavailable', retryAfterMs: 30_000 });
    expect(error.message).toContain(`The endpoint ${endpoint.host} gives no usable reply for m`);
    expect(error.message).toContain('503 model is loading');
    const total = waited.reduce((sum, ms) => sum + ms, 0);
    expect(total).toBeGreaterThan(280_000);
    expect(total).toBeLessThanOrEqual(300_000);
  });

  it('where nobody listens, the reason says so', async () => {
    const error = await startTeacher([{ baseUrl: 'http://127.0.0.1:1/v1' }]).askInVain();
    expect(error.kind).toBe('unavailable');
    expect(error.message).toContain('ECONNREFUSED');
  });

  it('a server that speaks no TLS is unavailable', async () => {
    const endpoint = await startLoopback(good);
    const baseUrl = endpoint.baseUrl.replace('http:', 'https:');
    expect((await startTeacher([{ baseUrl }]).askInVain()).kind).toBe('unavailable');
  });

  it('an abort ends the waiting with its own reason', async () => {
    const endpoint = await startLoopback(() => undefined);
    const { ask } = startTeacher([endpoint]);
    const controller = new AbortController();
    const asked = ask(MESSAGES, CALL, controller.signal);
    setTimeout(() => controller.abort(new Error('drain')), 20);
    await expect(asked).rejects.toThrow('drain');
  });
});

describe('what waiting does not cure is thrown at once', () => {
  it.each<[string, number, unknown, TeacherErrorKind, RegExp]>([
    [
      'a prompt that is too long',
      400,
      { error: { message: "This model's maximum context length is 8192 tokens", code: null } },
      'context',
      /too long for m/,
    ],
    ['413', 413, 'Payload Too Large', 'context', /too long for m/],
    ['a wrong key', 401, { error: { message: 'Incorrect API key' } }, 'auth', /apiKeyEnv/],
    [
      'an account without credit',
      402,
      { error: { message: 'Insufficient balance' } },
      'no-credit',
      /no credit left for m; it said: 402 Insufficient balance\. The key is right: top the account up/,
    ],
    ['no access', 403, { error: 'forbidden' }, 'auth', /forbidden/],
    [
      'an unknown model',
      404,
      { error: { message: 'The model `m` does not exist', code: 'model_not_found' } },
      'unknown-model',
      /`model` and `baseUrl`/,
    ],
    ['a bad request', 400, { detail: 'top_p out of range' }, 'bad-request', /top_p out of range/],
  ])('%s', async (_, code, body, kind, words) => {
    const endpoint = await startLoopback(status(code, body));
    const { askInVain, waited } = startTeacher([endpoint]);
    const error = await askInVain();
    expect(error.kind).toBe(kind);
    expect(error.message).toMatch(words);
    expect(error.message).toContain(endpoint.host);
    expect(endpoint.received).toHaveLength(1);
    expect(waited).toEqual([]);
  });

  it('a key that is not there blocks the endpoint without a request', async () => {
    const endpoint = await startLoopback(good);
    const { askInVain } = startTeacher([endpoint], {
      apiKey: async () => Promise.reject(new Error('the variable X_API_KEY is not set')),
    });
    const error = await askInVain();
    expect(error.kind).toBe('auth');
    expect(error.message).toContain('X_API_KEY is not set');
    expect(endpoint.received).toEqual([]);
  });
});
