/** The engine of this host behind a stand-in on loopback that can lose and delay calls. */

import { createServer, type IncomingMessage, request as httpRequest } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

/** What becomes of a call: passed on, never answered, or passed on so many milliseconds later. */
export type Fate = 'pass' | 'lose' | number;

const ENGINE = (process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock').replace('unix://', '');

export interface EngineProxy {
  /** For DOCKER_HOST. */
  host: string;
  /** Asked for every call; `path` is without the version of the API. */
  decide: (call: { method: string; path: string }) => Fate;
  /** Called when a call that was passed on has been answered. */
  onAnswer: (call: { method: string; path: string }) => void;
  close(): void;
}

/** Starts one that passes everything on. */
export async function startEngineProxy(): Promise<EngineProxy> {
  const sockets = new Set<Socket>();
  const callOf = ({ method = '', url = '' }: IncomingMessage) => ({
    method,
    path: url.replace(/^\/v[\d.]+/, ''),
  });

  const server = createServer((incoming, outgoing) => {
    const call = callOf(incoming);
    const fate = proxy.decide(call);
    if (fate !== 'lose') void pass(fate === 'pass' ? 0 : fate).catch(() => outgoing.destroy());

    async function pass(delayMs: number): Promise<void> {
      // Whole before it goes on: a call that its caller gives up meanwhile is one that the engine had heard.
      const body = await buffer(incoming);
      await sleep(delayMs);
      const { method, url, headers } = incoming;
      const onward = httpRequest({ socketPath: ENGINE, method, path: url, headers }, (answer) => {
        proxy.onAnswer(call);
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(outgoing);
      });
      onward.on('error', () => outgoing.destroy());
      onward.end(body);
    }
  });
  // An exec's stream: after its head it is no HTTP any more.
  server.on('upgrade', (incoming: IncomingMessage, client: Socket, head: Buffer) => {
    if (proxy.decide(callOf(incoming)) === 'lose') return;
    const onward = connect(ENGINE);
    for (const [one, other] of [
      [client, onward],
      [onward, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
    const headers = Array.from({ length: incoming.rawHeaders.length / 2 }, (_, at) =>
      incoming.rawHeaders.slice(2 * at, 2 * at + 2).join(': '),
    );
    onward.write(`${incoming.method} ${incoming.url} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
    onward.write(head);
    client.pipe(onward).pipe(client);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const proxy: EngineProxy = {
    host: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    decide: () => 'pass',
    onAnswer: () => {},
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  return proxy;
}
