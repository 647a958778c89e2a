/** What goes out to an endpoint: bodies, connections and keys. */

import { createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { runRollout } from '../../agent/loop.ts';
import { planWith } from '../support/agent-script.ts';
import { createMemoryJournal } from '../support/memory-journal.ts';
import { createMemorySandbox } from '../support/memory-sandbox.ts';
import { good, type Received, SAID, startLoopback, startTeacher, status } from './loopback.ts';

function sharedPrefix(before: string, after: string): number {
  let at = 0;
  while (at < before.length && before[at] === after[at]) at += 1;
  return at;
}
const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

describe('requests', () => {
  it.each([
    ['every byte', {}, 1],
    ['nearly every byte where the prompt is marked for caching', { cacheMarks: true }, 0.95],
    ['every byte where reasoning is sent back', { reasoningField: 'reasoning' as const }, 1],
  ])('share %s with the next one over a rollout of 40 steps', async (_, endpoint, least) => {
    const loopback = await startLoopback(good);
    const { teacher } = startTeacher([loopback], { endpoint });
    const ports = { teacher, sandbox: createMemorySandbox(), journal: createMemoryJournal() };
    const run = await runRollout(planWith({ maxSteps: 40 }), ports, new AbortController().signal);
    expect(run).toMatchObject({ status: 'step-limit', steps: 40 });
    const bodies = loopback.received.map(({ body }) => body.replace(/\]\}$/, ''));
    const next = bodies.slice(1);
    const shared = next.map((body, index) => sharedPrefix(bodies[index]!, body));
    const share = sum(shared) / sum(bodies.slice(0, -1).map(({ length }) => length));
    expect(share).toBeGreaterThanOrEqual(least);
    expect(bodies.at(-1)?.includes('"reasoning":"Überlegung"')).toBe('reasoningField' in endpoint);
    const marks = bodies.map((body) => body.split('cache_control').length - 1);
    expect(marks.every((count) => count === ('cacheMarks' in endpoint ? 2 : 0))).toBe(true);
  });

  it('hold what the endpoint is to be told, and leave out what it is not', async () => {
    const endpoint = await startLoopback(good);
    const { ask } = startTeacher([endpoint], {
      endpoint: {
        headers: { 'x-title': 'us' },
        body: { top_k: 20, top_p: null },
        temperature: 0.1,
        maxTokens: 99,
        stream: false,
      },
    });
    await ask();
    const [{ body, headers }] = endpoint.received as [Received];
    expect(JSON.parse(body)).toEqual({
      model: 'm',
      temperature: 0.1,
      max_tokens: 99,
      top_k: 20,
      messages: [{ role: 'user', content: 'Please look.' }],
    });
    expect(headers['x-title']).toBe('us');
  });

  it.each([
    [undefined, true, { chat_template_kwargs: { enable_thinking: true, thinking: true } }],
    [undefined, false, { chat_template_kwargs: { enable_thinking: false, thinking: false } }],
    ['thinking', false, { thinking: { type: 'disabled' } }],
    ['thinking', 'high', { thinking: { type: 'enabled' }, reasoning_effort: 'high' }],
    ['enable_thinking', true, { enable_thinking: true }],
    ['reasoning', 'low', { reasoning: { effort: 'low' } }],
    ['reasoning', false, { reasoning: { enabled: false } }],
    ['reasoning_effort', true, { reasoning_effort: 'medium' }],
    ['reasoning_effort', false, { reasoning_effort: 'none' }],
  ] as const)('tell by %s that thinking is %s', async (thinkingField, thinking, expected) => {
    const endpoint = await startLoopback(good);
    const field = thinkingField === undefined ? {} : { thinkingField };
    const { ask } = startTeacher([endpoint], { endpoint: field, config: { thinking } });
    await ask();
    const body = JSON.parse(endpoint.received[0]!.body) as object;
    expect(body).toMatchObject(expected);
  });

  it('are sent plainly to an endpoint that can not stream', async () => {
    const endpoint = await startLoopback((response, received) =>
      received.body.includes('"stream":true')
        ? status(400, { error: { message: 'stream is not supported' } })(response, received)
        : status(200, { choices: [{ message: { content: 'plain' }, finish_reason: 'stop' }] })(
            response,
            received,
          ),
    );
    const { ask } = startTeacher([endpoint]);
    expect((await ask()).message.content).toBe('plain');
    await ask();
    expect(endpoint.received).toHaveLength(3);
  });

  it('use one connection, one after the other', async () => {
    const ports = new Set<number | undefined>();
    const endpoint = await startLoopback((response, received) => {
      ports.add(response.socket?.remotePort);
      good(response, received);
    });
    const { ask } = startTeacher([endpoint]);
    for (let call = 0; call < 5; call += 1) await ask();
    expect(ports.size).toBe(1);
  });

  it('survive a kept connection that the server closed meanwhile', async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      const body = JSON.stringify({ choices: [{ message: { content: 'hello' } }] });
      socket.on('data', () => {
        // A second request on the same connection meets a reset.
        if (socket.bytesWritten > 0) socket.resetAndDestroy();
        else {
          socket.write(
            `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
          );
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const { ask, waited } = startTeacher([{ baseUrl: `http://127.0.0.1:${port}/v1` }]);
    for (let call = 0; call < 3; call += 1) expect((await ask()).message.content).toBe('hello');
    expect(waited).toEqual([]);
    for (const socket of sockets) socket.destroy();
    server.close();
  });
});

describe('keys', () => {
  it('are sent, and stand in no error', async () => {
    const key = 'sk-canary-1234567890';
    const endpoint = await startLoopback((response, { headers }) =>
      status(401, { error: { message: `Incorrect: ${headers.authorization}` } })(
        response,
        endpoint.received[0]!,
      ),
    );
    const { askInVain } = startTeacher([endpoint], { apiKey: async () => key });
    const error = await askInVain();
    expect(endpoint.received[0]?.headers.authorization).toBe(`Bearer ${key}`);
    expect(error.message).toContain('Bearer [key]');
    expect(
      JSON.stringify([error.message, error.stack, error.cause, String(error.cause)]),
    ).not.toContain(key);
  });

  it('go into the header that an endpoint wants them in', async () => {
    const endpoint = await startLoopback(good);
    const { ask } = startTeacher([endpoint], {
      apiKey: async () => 'sk-canary',
      endpoint: { keyHeader: 'api-key' },
    });
    await ask();
    const { headers } = endpoint.received[0]!;
    expect([headers['api-key'], headers.authorization]).toEqual(['sk-canary', undefined]);
  });

  it('rotated while the endpoint is blocked are tried at once', async () => {
    let key = 'old-key';
    const endpoint = await startLoopback((response, received) =>
      received.headers.authorization === 'Bearer new-key'
        ? good(response, received)
        : status(401, {})(response, received),
    );
    const { ask, askInVain } = startTeacher([endpoint], { apiKey: async () => key });
    await askInVain();
    await askInVain();
    expect(endpoint.received).toHaveLength(1);
    key = 'new-key\n';
    expect((await ask()).message).toEqual(SAID);
  });

  it('are not taken from the environment of other tools', async () => {
    process.env['OPENAI_API_KEY'] = 'from-the-environment';
    const endpoint = await startLoopback(good);
    await startTeacher([endpoint]).ask();
    delete process.env['OPENAI_API_KEY'];
    expect(endpoint.received[0]?.headers.authorization).toBeUndefined();
  });
});
