/** An image registry on loopback that holds one small image and can be out of sorts. */

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';

import { toTar } from './sandbox-fixture.ts';

const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';

export interface RegistryStub {
  /** What to pull. */
  reference: string;
  /** Answers of the next requests for the manifest, before it is given. */
  refusals: { status: number; code: string; headers?: Record<string, string> }[];
  /** Requests for manifests that were given, and for contents, so far. */
  requests: { manifests: number; contents: number };
  close(): void;
}

export async function startRegistry(): Promise<RegistryStub> {
  const layer = await buffer(toTar({ marker: 'of the registry\n' }));
  const packed = gzipSync(layer);
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      created: '2000-01-01T00:00:00Z',
      config: {},
      rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
      history: [{ created: '2000-01-01T00:00:00Z' }],
    }),
  );
  const describe = (mediaType: string, bytes: Buffer) => ({
    mediaType: `application/vnd.docker.${mediaType}`,
    size: bytes.length,
    digest: digestOf(bytes),
  });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: describe('container.image.v1+json', config),
      layers: [describe('image.rootfs.diff.tar.gzip', packed)],
    }),
  );
  const blobs = new Map([config, packed].map((bytes) => [digestOf(bytes), bytes]));
  const requests = { manifests: 0, contents: 0 };

  const server = createServer((request, response) => {
    const path = request.url ?? '';
    const blob = blobs.get(path.split('/').at(-1) ?? '');
    const refusal = path.includes('/manifests/') ? stub.refusals.shift() : undefined;
    if (refusal !== undefined) {
      response.writeHead(refusal.status, {
        'content-type': 'application/json',
        ...refusal.headers,
      });
      response.end(JSON.stringify({ errors: [{ code: refusal.code, message: 'not now' }] }));
    } else if (path.includes('/manifests/')) {
      requests.manifests++;
      response.writeHead(200, {
        'content-type': MANIFEST,
        'docker-content-digest': digestOf(manifest),
        'content-length': manifest.length,
      });
      response.end(request.method === 'HEAD' ? undefined : manifest);
    } else if (blob !== undefined) {
      requests.contents++;
      response.writeHead(200, { 'content-length': blob.length });
      response.end(blob);
    } else {
      response.writeHead(path === '/v2/' ? 200 : 404);
      response.end('{}');
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stub: RegistryStub = {
    reference: `127.0.0.1:${(server.address() as AddressInfo).port}/small:1`,
    refusals: [],
    requests,
    close: () => server.close(),
  };
  return stub;
}

// --- internal ---

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
