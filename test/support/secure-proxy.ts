/** What stands before a production Temporal server: TLS with a certificate of a self-made authority, and a check of the API key. */

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, createSecureServer, type Http2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';

export interface SecureProxy {
  /** HOST:PORT; the host is a name that its certificate has. */
  address: string;
  close(): Promise<void>;
}

/** Makes `ca.pem`, and `server.pem` with `server.key` for `localhost`, which it signs, in a folder. */
export async function makeCertificates(folder: string): Promise<void> {
  const openssl = (...args: string[]) => execa('openssl', args, { cwd: folder });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout'];
  const names = ['-subj', '/CN=server', '-addext', 'subjectAltName=DNS:localhost'];
  await openssl('req', '-x509', ...key, 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ours');
  await openssl('req', ...key, 'server.key', '-out', 'server.csr', ...names);
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-copy_extensions', 'copy'];
  await openssl('x509', '-req', '-in', 'server.csr', ...signed, '-out', 'server.pem');
}

/** Passes gRPC calls on to a server in plain text; with `apiKey`, only those that bring it. */
export async function startSecureProxy(
  upstream: string,
  certificates: string,
  { apiKey }: { apiKey?: string } = {},
): Promise<SecureProxy> {
  const [key, cert] = await Promise.all(
    ['server.key', 'server.pem'].map((name) => readFile(join(certificates, name))),
  );
  const server = createSecureServer({ key: key!, cert: cert! });
  const behind = connect(`http://${upstream}`);
  const sessions = new Set<Http2Session>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    if (apiKey !== undefined && headers.authorization !== `Bearer ${apiKey}`) {
      stream.respond(
        {
          ':status': 200,
          'content-type': 'application/grpc',
          'grpc-status': '16',
          'grpc-message': 'no such key',
        },
        { endStream: true },
      );
      return;
    }
    const call = behind.request({ ...headers, ':scheme': 'http' });
    call.on('error', () => stream.close());
    stream.on('close', () => call.close());
    stream.pipe(call);
    call.on('response', (answer, flags) => {
      const isOnlyHeaders = (flags & END_STREAM) !== 0;
      if (isOnlyHeaders) return stream.respond(answer, { endStream: true });
      stream.respond(answer, { waitForTrailers: true });
      let trailers = {};
      call.on('trailers', (last) => (trailers = last));
      stream.on('wantTrailers', () => stream.sendTrailers(trailers));
      call.pipe(stream);
    });
  });
  server.listen(0);
  await once(server, 'listening');
  return {
    address: `localhost:${(server.address() as AddressInfo).port}`,
    async close() {
      behind.destroy();
      for (const session of sessions) session.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

// --- internal ---

/** Flag of a HEADERS frame (RFC 9113, 6.2). */
const END_STREAM = 1;
