/** Repositories behind a URL, as a host serves them: https by git's own CGI program, ssh by a stand-in for the client. */

import { spawn } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openSource } from '../../repository/source.ts';
import { makeRepository, readTree, runGit, temporaryFolder, writeFiles } from './git-fixture.ts';

let root: string;
let remove: () => void;
let repository: string;
let first: string;
beforeEach(() => {
  ({ folder: root, remove } = temporaryFolder());
  repository = path.join(root, 'code');
  first = makeRepository(repository, BEFORE);
  vi.stubEnv('HOME', root);
});
afterEach(() => {
  vi.unstubAllEnvs();
  remove();
});

const open = (url: string) => openSource(url, { cacheDir: path.join(root, 'cache') });

/** Trees of HEAD at first, and of `main` and the first commit after another one has come: the mirror is there by then. */
async function readTwice(url: string): Promise<Record<string, string>[]> {
  const before = await readTree(await open(url));
  writeFiles(repository, { 'a.txt': 'three' });
  runGit(repository, ['commit', '--quiet', '--all', '--message=second']);
  const source = await open(url);
  return [before, await readTree(source, 'main'), await readTree(source, first)];
}

const BEFORE = { 'a.txt': 'one', 'b/c.txt': 'two' };
const AFTER = { 'a.txt': 'three', 'b/c.txt': 'two' };

describe('https', () => {
  const server = createServer({ key: serverKey(), cert: certificate() }, (request, response) => {
    const expected = `Basic ${Buffer.from('me:secret').toString('base64')}`;
    if (request.headers.authorization === expected) return serveGit(request, response);
    response.writeHead(401, { 'www-authenticate': 'Basic realm="code"' }).end();
  });
  let host: string;
  beforeEach(async () => {
    await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
    host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    writeFiles(root, { 'cert.pem': certificate() });
  });
  afterEach(() => new Promise<unknown>((settle) => server.close(settle)));

  /** As a user sets git up for a host of their own. */
  const configure = (text: string) =>
    writeFiles(root, { '.gitconfig': `[http]\n\tsslCAInfo = ${root}/cert.pem\n${text}` });

  test('with name and password in the URL, which nothing shows', async () => {
    configure('');
    const trees = await readTwice(`https://me:secret@${host}/code`);
    expect(trees).toEqual([BEFORE, AFTER, BEFORE]);
    expect((await open(`https://me:secret@${host}/code`)).label).toBe(`https://***@${host}/code`);
  });

  test("with the user's own credential helper", async () => {
    configure('[credential]\n\thelper = "!f() { echo username=me; echo password=secret; }; f"\n');
    expect(await readTwice(`https://${host}/code`)).toEqual([BEFORE, AFTER, BEFORE]);
  });

  test('without the right to read it is told as such, and asks nobody', async () => {
    configure('');
    await expect(open(`https://${host}/code`)).rejects.toMatchObject({ kind: 'auth' });
    await expect(open(`https://me:wrong@${host}/code`)).rejects.toMatchObject({
      kind: 'auth',
      message: expect.not.stringContaining('wrong@') as string,
    });
  });

  test('of a host whose certificate nobody vouches for is not fetched', async () => {
    await expect(open(`https://me:secret@${host}/code`)).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining('certificate') as string,
    });
  });
});

test.each(['ssh://git@code.test:2222', 'git@code.test:'])('ssh: %s is fetched', async (host) => {
  // Runs what it is to run on the host here.
  writeFiles(root, {
    'bin/ssh': `#!/bin/sh\necho "$*" >> '${root}/calls'\nfor last; do :; done\nexec sh -c "$last"\n`,
  });
  chmodSync(path.join(root, 'bin/ssh'), 0o755);
  vi.stubEnv('PATH', `${root}/bin:${process.env['PATH']}`);
  expect(await readTwice(`${host}${repository}`)).toEqual([BEFORE, AFTER, BEFORE]);
  expect(readFileSync(path.join(root, 'calls'), 'utf8')).toMatch(/^(?:.*BatchMode=yes.*\n){2}$/);
});

function serveGit(request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? '/', 'https://host');
  const cgi = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env['PATH'],
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      REQUEST_METHOD: request.method,
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      CONTENT_TYPE: request.headers['content-type'],
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'],
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  request.pipe(cgi.stdin);
  const parts: Buffer[] = [];
  cgi.stdout.on('data', (part: Buffer) => parts.push(part));
  cgi.once('close', () => {
    const answer = Buffer.concat(parts);
    const end = answer.indexOf('\r\n\r\n');
    const lines = answer.toString('latin1', 0, end).split('\r\n');
    const headers = lines.map((line) => line.split(': ') as [string, string]);
    const status = Number.parseInt(new Map(headers).get('Status') ?? '200', 10);
    response.writeHead(status, Object.fromEntries(headers)).end(answer.subarray(end + 4));
  });
}

/** Made for this test, for 127.0.0.1 alone. */
function serverKey(): string {
  return `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgxtIxMggnHyj3HkEl
gsrNpHC9lJ2QNhSef7RUGA/jtqqhRANCAAQIcWQyooqcp3JNwiol0q7RInF7mLzM
drS9ZOB0I6eGxUvGKESQ2hG3k/aeGW+jzvFEQIZXks2Dge9Cm8yrt1rp
-----END PRIVATE KEY-----
`;
}

function certificate(): string {
  return `-----BEGIN CERTIFICATE-----
MIIBjzCCATagAwIBAgIUdcIf3JdgshmoPI+nSIz+9I94jk4wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNDA4MzkwN1oYDzIxMjYxMDMx
MDgzOTA3WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQIcWQyooqcp3JNwiol0q7RInF7mLzMdrS9ZOB0I6eGxUvGKESQ2hG3
k/aeGW+jzvFEQIZXks2Dge9Cm8yrt1rpo2QwYjAdBgNVHQ4EFgQUTLSkJBFINscb
c7ZdbIUQ23eIS6EwHwYDVR0jBBgwFoAUTLSkJBFINscbc7ZdbIUQ23eIS6EwDwYD
VR0RBAgwBocEfwAAATAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQC
IFhNdeilpN8O0XIUrcXIpUuDZPz4ur3Tu11IZkjRluf/AiB7WSzm4X15z32PySOI
Y+rxPHj9nx8XA8js9/I+HN3jRg==
-----END CERTIFICATE-----
`;
}
