/** The scripted teacher: a chat endpoint on loopback that plays an agent, so that everything can run without a model. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseJson } from '../json.ts';
import { answer, type Character } from './answer.ts';
import { chance, parseRequest, toChunks, toCompletionBody } from './wire.ts';

export interface ScriptedOptions extends Character {
  /** Waiting time before each reply. */
  latencyMs: number;
  /** Share of conversations that get a fault the first time they are sent. */
  faultRate: number;
  /** A free one when left out. */
  port?: number;
}

/**
 * Starts the server. Replies depend on nothing but the conversation and the seed; a fault (429, 500, cut connection) comes before
 * a reply, never instead of it: sent again, the conversation is answered. Rejects when the port is taken.
 */
export async function startScriptedTeacher(
  options: ScriptedOptions,
): Promise<{ baseUrl: string; close(): Promise<void> }> {
  const faults = createFaults(options);
  const server = createServer((request, response) => {
    respond(request, response, options, faults).catch(() => response.destroy());
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function respond(
  incoming: IncomingMessage,
  response: ServerResponse,
  options: ScriptedOptions,
  faults: Faults,
): Promise<void> {
  const { pathname } = new URL(incoming.url ?? '/', 'http://localhost');
  if (pathname === '/v1/models' && incoming.method === 'GET') {
    const model = { id: 'scripted', object: 'model', created: 0, owned_by: 'twinpatch' };
    return sendJson(response, 200, { object: 'list', data: [model] });
  }
  if (pathname !== '/v1/chat/completions' || incoming.method !== 'POST') {
    return sendError(response, 404, `there is nothing at ${pathname}`);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const request = parseRequest(parseJson(body.toString('utf8')));
  if (request === undefined) return sendError(response, 400, 'the request has no messages');

  if (options.latencyMs > 0) await sleep(options.latencyMs);
  const fault = faults.next(body);
  if (fault === 'rate-limit') {
    response.setHeader('retry-after', '1');
    response.setHeader('retry-after-ms', '100');
    return sendError(response, 429, 'too many requests');
  }
  if (fault === 'failure') return sendError(response, 500, 'something broke');

  const reply = answer(request, options);
  const text = request.isStreamed
    ? [...toChunks(request, reply).map((chunk) => JSON.stringify(chunk)), '[DONE]']
        .map((data) => `data: ${data}\n\n`)
        .join('')
    : JSON.stringify(toCompletionBody(request, reply));
  response.setHeader('content-type', request.isStreamed ? 'text/event-stream' : 'application/json');
  if (fault === 'cut') {
    // Announced longer than it is, so that the client can't take it for whole.
    response.setHeader('content-length', Buffer.byteLength(text) + 1);
    response.write(text.slice(0, text.length / 2), () => response.destroy());
    return;
  }
  response.end(text);
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function sendError(response: ServerResponse, status: number, message: string): void {
  sendJson(response, status, { error: { message, type: 'scripted', code: null } });
}

const FAULTS = ['rate-limit', 'failure', 'cut'] as const;
type Fault = (typeof FAULTS)[number];

interface Faults {
  /** The fault of this request, if it gets one. */
  next(body: Buffer): Fault | undefined;
}

/** Remembers which conversations had their fault and were not sent again yet. */
function createFaults({ seed, faultRate }: ScriptedOptions): Faults {
  const waiting = new Set<string>();
  return {
    next(body) {
      if (faultRate === 0) return undefined;
      const id = createHash('sha256').update(body).digest('base64');
      if (chance(seed, 'fault', id) >= faultRate) return undefined;
      if (waiting.delete(id)) return undefined;
      waiting.add(id);
      return FAULTS[Math.floor(chance(seed, 'which', id) * FAULTS.length)];
    },
  };
}
