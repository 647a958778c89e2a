import { request } from 'node:http';
import { SetupError } from './setup-error.mjs';

const DEFAULT_SOCKET = '/var/run/docker.sock';

/**
 * @typedef {{ text: string, isDefault: boolean, connect: { socketPath: string } | { host: string, port: number } }} EngineAddress
 */

/**
 * Where the engine listens: DOCKER_HOST, or the default socket.
 * @returns {EngineAddress}
 */
export function engineAddress() {
  const host = process.env['DOCKER_HOST'] || `unix://${DEFAULT_SOCKET}`;
  const socketPath = /^unix:\/\/(\/.+)$/.exec(host)?.[1];
  if (socketPath) {
    return { text: socketPath, isDefault: socketPath === DEFAULT_SOCKET, connect: { socketPath } };
  }
  const tcp = /^(?:tcp|http):\/\/\[?([^/\]]+?)\]?(?::(\d+))?\/?$/.exec(host);
  if (tcp?.[1]) {
    const connect = { host: tcp[1], port: Number(tcp[2] ?? 2375) };
    return { text: host, isDefault: false, connect };
  }
  throw new SetupError(
    `DOCKER_HOST=${host} is not an address set-up can ask. Use unix:///PATH or tcp://HOST:PORT, or unset it.`,
  );
}

/**
 * Asks the engine, and gives up after `silenceMs` without a byte in either direction. The reply of a long request is a stream of
 * JSON lines whose last one may be an error behind status 200: that rejects too.
 * @param {'GET' | 'POST'} method
 * @param {string} path
 * @param {{ silenceMs?: number, body?: import('node:stream').Readable }} [options]
 * @returns {Promise<{ status: number, text: string, server: string }>}
 */
export function askEngine(method, path, { silenceMs = 3_000, body } = {}) {
  return new Promise((resolve, reject) => {
    const { connect } = engineAddress();
    const headers = body ? { 'content-type': 'application/x-tar' } : {};
    const call = request({ ...connect, method, path, headers, agent: false }, (response) => {
      readReply(method, response).then(resolve, reject);
    });
    call.setTimeout(silenceMs, () =>
      call.destroy(new Error(`no sign of life for ${silenceMs / 1000} s`)),
    );
    call.on('error', reject);
    if (!body) return call.end();
    body.on('error', (error) => call.destroy(error));
    body.pipe(call);
  });
}

/**
 * @param {'GET' | 'POST'} method
 * @param {import('node:http').IncomingMessage} response
 * @returns {Promise<{ status: number, text: string, server: string }>}
 */
async function readReply(method, response) {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  const status = response.statusCode ?? 0;
  const failure = /^\{.*"(?:error|message)":("(?:[^"\\]|\\.)*")/m.exec(text)?.[1];
  if (method === 'POST' && (failure || status >= 300)) {
    throw new Error(failure ? JSON.parse(failure) : `status ${status}`);
  }
  return { status, text, server: String(response.headers['server'] ?? '') };
}
