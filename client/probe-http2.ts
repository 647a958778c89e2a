/** How a port answers to the beginning of HTTP/2, which Temporal speaks: gRPC itself tells only that it got no connection. */

import { once } from 'node:events';
import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

export type Http2Answer =
  | { kind: 'http2' }
  /** Nobody listens there, the name leads nowhere, or nothing came back in time. */
  | { kind: 'nobody'; code: string }
  /** TLS ended by the certificate of one side; `code` is OpenSSL's or Node's. */
  | { kind: 'certificate'; code: string; message: string }
  /** Another protocol; or plain text where TLS was tried, or the other way round. */
  | { kind: 'other'; message: string };

/** Connection preface and an empty SETTINGS frame (RFC 9113, 3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
const FRAME_TYPE_AT = 3;
const SETTINGS = 4;

const NOBODY = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);
/** Verdicts on the server's certificate, and what servers say of a missing or unknown one of ours. */
const OF_CERTIFICATES = /CERT|SELF_SIGNED|UNABLE_TO_|ISSUER|ALTNAME|UNKNOWN_CA|HANDSHAKE_FAILURE/;

/** With `tls`, over TLS with these options. Never throws; answers within `timeoutMs`. */
export async function probeHttp2(
  address: string,
  tls: ConnectionOptions | undefined,
  timeoutMs: number,
): Promise<Http2Answer> {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  const place = { host, port: Number(address.slice(at + 1)) };
  let socket: Socket | undefined;
  try {
    const servername = isIP(host) === 0 ? host : '';
    socket =
      tls === undefined
        ? connectPlain(place)
        : connectTls({ ...place, servername, ALPNProtocols: ['h2'], ...tls });
    socket.write(PREFACE);
    const closed = once(socket, 'close').then((): never => {
      throw new Error('it closes the connection');
    });
    const [first] = (await Promise.race([
      once(socket, 'data', { signal: AbortSignal.timeout(timeoutMs) }),
      closed,
    ])) as [Buffer];
    closed.catch(() => undefined);
    if (first[FRAME_TYPE_AT] === SETTINGS) return { kind: 'http2' };
    return { kind: 'other', message: 'it answers in another protocol' };
  } catch (error) {
    return toAnswer(error as NodeJS.ErrnoException);
  } finally {
    socket?.on('error', () => undefined).destroy();
  }
}

// --- internal ---

function toAnswer({ name, code = '', message }: NodeJS.ErrnoException): Http2Answer {
  if (name === 'AbortError') return { kind: 'nobody', code: 'ETIMEDOUT' };
  if (NOBODY.has(code) || code === 'ETIMEDOUT') return { kind: 'nobody', code };
  if (OF_CERTIFICATES.test(code)) return { kind: 'certificate', code, message };
  return { kind: 'other', message };
}
