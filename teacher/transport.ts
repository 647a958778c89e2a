/** HTTP for one endpoint: kept-alive connections, a connect deadline, and no hidden time limits (the built-in fetch has some). */

import http from 'node:http';
import https from 'node:https';
import { pipeline, type Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { HttpError } from './classify.ts';
import { asRecord, asText, parseJson } from './json.ts';

const CONNECT_MS = 10_000;
/** An error answer is read no further than this: it is only quoted. */
const MAX_ERROR_BYTES = 64 * 1024;

export interface Answer {
  headers: http.IncomingHttpHeaders;
  /** Decompressed. */
  body: Readable;
}

export interface Post {
  headers: Record<string, string>;
  body: Buffer;
  signal: AbortSignal;
}

export interface Transport {
  /** Throws HttpError for a status other than 2xx. */
  post(url: URL, post: Post): Promise<Answer>;
  close(): void;
}

/** Rejects with the socket's own error (`code` ECONNREFUSED, ENOTFOUND, …), with `code` ECONNECTTIMEOUT, or with the signal's reason. */
export function createTransport(options: { connectMs?: number } = {}): Transport {
  const connectMs = options.connectMs ?? CONNECT_MS;
  const agents = {
    http: new http.Agent({ keepAlive: true }),
    https: new https.Agent({ keepAlive: true }),
  };

  function request(url: URL, post: Post): Promise<http.IncomingMessage> {
    const secure = url.protocol === 'https:';
    const { headers, body, signal } = post;
    return new Promise((resolve, reject) => {
      const outgoing = (secure ? https : http).request(url, {
        method: 'POST',
        headers,
        agent: secure ? agents.https : agents.http,
        signal,
      });
      outgoing.once('socket', (socket) => {
        if (!socket.connecting) return;
        const timer = setTimeout(() => {
          const error = new Error(`no connection within ${connectMs} ms`);
          outgoing.destroy(Object.assign(error, { code: 'ECONNECTTIMEOUT' }));
        }, connectMs);
        socket.once(secure ? 'secureConnect' : 'connect', () => clearTimeout(timer));
        socket.once('close', () => clearTimeout(timer));
      });
      outgoing.once('response', resolve);
      outgoing.once('error', (error: NodeJS.ErrnoException) => {
        // A kept connection that the server closed while it was idle: nothing was received there, so one more try is safe.
        const stale = outgoing.reusedSocket && error.code === 'ECONNRESET' && !signal.aborted;
        if (stale) request(url, post).then(resolve, reject);
        else reject(signal.aborted ? (signal.reason as Error) : error);
      });
      outgoing.end(body);
    });
  }

  return {
    async post(url, post) {
      const incoming = await request(url, post);
      const { headers, statusCode: status = 0 } = incoming;
      const body = decompressed(incoming);
      if (status < 200 || status > 299) {
        throw new HttpError(status, headers, toErrorObject(await readStart(body)));
      }
      return { headers, body };
    },
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

/** Servers send `{error: {message}}`, `{error: text}`, `{detail}`, `{message}`, or no JSON. */
function toErrorObject(text: string): Record<string, unknown> {
  const body = asRecord(parseJson(text));
  const error = asRecord(body['error']);
  if (asText(error['message']) !== '') return error;
  return { ...body, message: body['error'] ?? body['detail'] ?? body['message'] ?? text };
}
