/** What goes out to an endpoint: bodies, connections and keys. */

import { createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../domain/trajectory.ts';
import { CALL, good, SAID, startLoopback, startTeacher, status } from './loopback.ts';

describe('requests', () => {
  it('extend the last one of the conversation byte for byte', async () => {
    const endpoint = await startLoopback(good);
    const { teacher } = startTeacher([endpoint]);
    const tools = [
      { type: 'function' as const, function: { name: 'bash', description: '', parameters: {} } },
    ];
    const messages: Message[] = [
      { role: 'system', content: 'Work.' },
      { role: 'user', content: 'Please look.' },
    ];
    for (let step = 1; step <= 5; step += 1) {
      const signal = new AbortController().signal;
      const { message } = await teacher.complete({ messages, tools }, { ...CALL, step }, signal);
      messages.push(message, { role: 'tool', toolCallId: 'c1', content: `output ${step}` });
    }
    const bodies = endpoint.received.map(({ body }) => body);
    for (const [index, body] of bodies.slice(1).entries()) {
      expect(body.startsWith(bodies[index]!.replace(/\]\}$/, ''))).toBe(true);
    }
    expect(bodies.at(-1)).not.toContain('Überlegung');
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
