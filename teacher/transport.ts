/** HTTP for one endpoint: kept-alive connections, a connect deadline, and no hidden time limits (the built-in fetch has some). */

import http from 'node:http';
import https from 'node:https';
import { pipeline, Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { asRecord, asText, parseJson } from './json.ts';

const CONNECT_MS = 10_000;
/** An error answer is read no further than this: it is only quoted. */
const MAX_ERROR_BYTES = 64 * 1024;

export interface Transport {
  /** A Response of success has no `body`: it is read by `bodyOf`, because a web stream costs more than all else in a reply. */
  fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
  /** The bytes of a Response of success, once. */
  bodyOf(response: Response): AsyncIterable<Uint8Array>;
  close(): void;
}

/** Rejects with the socket's own error (`code` ECONNREFUSED, ENOTFOUND, …), with `code` ECONNECTTIMEOUT, or with the signal's reason. */
export function createTransport(options: { connectMs?: number } = {}): Transport {
  const connectMs = options.connectMs ?? CONNECT_MS;
  const agents = {
    http: new http.Agent({ keepAlive: true }),
    https: new https.Agent({ keepAlive: true }),
  };

  const bodies = new WeakMap<Response, Readable>();

  function request(url: URL, init: RequestInit): Promise<http.IncomingMessage> {
    const secure = url.protocol === 'https:';
    const signal = init.signal ?? undefined;
    return new Promise((resolve, reject) => {
      const outgoing = (secure ? https : http).request(url, {
        method: init.method ?? 'GET',
        headers: Object.fromEntries(new Headers(init.headers)),
        agent: secure ? agents.https : agents.http,
        ...(signal && { signal }),
      });
      outgoing.once('socket', (socket) => {
        if (!socket.connecting) return;
        const timer = setTimeout(() => {
          const error = new Error(`no connection within ${connectMs} ms`);
          outgoing.destroy(Object.assign(error, { code: 'ECONNECTTIMEOUT' }));
        }, connectMs);
        socket.once(secure ? 'secureConnect' : 'connect', () => clearTimeout(timer));
        (socket as TLSSocket).once('close', () => clearTimeout(timer));
      });
      outgoing.once('response', resolve);
      outgoing.once('error', (error: NodeJS.ErrnoException) => {
        // A kept connection that the server closed while it was idle: nothing was received there, so one more try is safe.
        const stale = outgoing.reusedSocket && error.code === 'ECONNRESET' && !signal?.aborted;
        if (stale) request(url, init).then(resolve, reject);
        else reject(signal?.aborted ? (signal.reason as Error) : error);
      });
      outgoing.end(init.body as string | undefined);
    });
  }

  return {
    async fetch(input, init = {}) {
      const incoming = await request(new URL(input instanceof Request ? input.url : input), init);
      const status = incoming.statusCode ?? 0;
      const headers = new Headers(
        Object.entries(incoming.headers).flatMap(([name, value]) =>
          value === undefined ? [] : [[name, String(value)] as [string, string]],
        ),
      );
      const body = decompressed(incoming);
      if (status < 200 || status > 299) {
        const error = toErrorBody(await readStart(body));
        return new Response(error, { status: toLegalStatus(status), headers });
      }
      const response = new Response(undefined, { headers });
      bodies.set(response, body);
      return response;
    },
    bodyOf: (response) => bodies.get(response) ?? Readable.from([]),
    close() {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}

function decompressed(incoming: http.IncomingMessage): Readable {
  const decoder = {
    gzip: createGunzip,
    'x-gzip': createGunzip,
    deflate: createInflate,
    br: createBrotliDecompress,
  }[incoming.headers['content-encoding'] ?? ''];
  // The reader sees the error; pipeline only takes both ends down together.
  return decoder === undefined ? incoming : pipeline(incoming, decoder(), () => undefined);
}

async function readStart(body: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= MAX_ERROR_BYTES) break;
    }
  } catch {
    // The status alone says enough; what came of the text is used.
  }
  return Buffer.concat(chunks).toString('utf8', 0, MAX_ERROR_BYTES);
}

/** The openai package reads `{error: {message}}` only; servers also send `{error: text}`, `{detail}`, `{message}`, or no JSON. */
function toErrorBody(text: string): string {
  const body = asRecord(parseJson(text));
  if (asText(asRecord(body['error'])['message']) !== '') return text;
  const words = body['error'] ?? body['detail'] ?? body['message'] ?? text;
  const message = typeof words === 'string' ? words : JSON.stringify(words);
  return JSON.stringify({ error: { ...body, message } });
}

/** `Response` takes 200 to 599 only, and no body with some of them. */
function toLegalStatus(status: number): number {
  return status >= 300 && status <= 599 && status !== 304 ? status : 502;
}
