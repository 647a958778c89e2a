/** Reaching a real Temporal server that stands behind TLS and an API key, and every way of not reaching it. */

import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectClient, existingServer } from '../../client/server.ts';
import { describeError } from '../../client/errors.ts';
import { toBatch, toSamples } from '../support/batch-fixture.ts';
import { freePort } from '../support/free-port.ts';
import { createProduct, type Product, until } from '../support/product.ts';
import { makeCertificates, type SecureProxy, startSecureProxy } from '../support/secure-proxy.ts';
import { startTestServer, type TestServer } from '../support/temporal-server.ts';

const API_KEY = 'right-key';
let product: Product;
let server: TestServer;
let tls: SecureProxy;
let keyed: SecureProxy;
const fileOf = (name: string) => join(product.folder, name);

beforeAll(async () => {
  product = await createProduct();
  [server] = await Promise.all([startTestServer(), makeCertificates(product.folder)]);
  tls = await startSecureProxy(server.address, product.folder);
  keyed = await startSecureProxy(server.address, product.folder, { apiKey: API_KEY });
  product.configure({ name: 'far', teacher: { scripted: {} } });
});
afterAll(async () => {
  await Promise.all([tls?.close(), keyed?.close()]);
  await Promise.all([server?.close(), product?.close()]);
});

/** What a command prints that can't reach a server; empty when it reached it. */
async function complaint(
  temporal: string,
  variables: Record<string, string> = {},
): Promise<string> {
  const env = Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [
      name === 'NAMESPACE' ? 'TWINPATCH_NAMESPACE' : `TWINPATCH_TEMPORAL_${name}`,
      value,
    ]),
  );
  try {
    const client = await connectClient(existingServer(temporal, env)!, env);
    await client.connection.close();
    return '';
  } catch (error) {
    return describeError(error, { debug: false }).text;
  }
}
const says = (address: string, why: string, next: string) =>
  `error: no Temporal server answers at ${address} — ${why}\nnext: ${next}\n`;

describe('a server', () => {
  test('is reached over TLS, and with its API key', async () => {
    const TLS_CA = fileOf('ca.pem');
    expect(await complaint(tls.address, { TLS_CA })).toBe('');
    expect(await complaint(keyed.address, { TLS_CA, API_KEY })).toBe('');
    const byNumber = tls.address.replace('localhost', '127.0.0.1');
    expect(await complaint(byNumber, { TLS_CA, TLS_SERVER_NAME: 'localhost' })).toBe('');
  });

  test('refuses a wrong key and a missing one', async () => {
    const TLS_CA = fileOf('ca.pem');
    expect(await complaint(keyed.address, { TLS_CA, API_KEY: 'wrong' })).toBe(
      says(
        keyed.address,
        'it refuses the API key (no such key)',
        'correct TWINPATCH_TEMPORAL_API_KEY',
      ),
    );
    expect(await complaint(keyed.address, { TLS_CA })).toBe(
      says(
        keyed.address,
        'it wants an API key (no such key)',
        'export TWINPATCH_TEMPORAL_API_KEY=…',
      ),
    );
  });

  test('has no namespace of a mistyped name, and none is made', async () => {
    const NAMESPACE = 'twinpach';
    const expected = `error: the Temporal server at ${server.address} has no namespace twinpach\nnext: correct TWINPATCH_NAMESPACE, or make it: temporal operator namespace create --address ${server.address} --namespace twinpach --retention 30d\n`;
    expect(await complaint(server.address, { NAMESPACE })).toBe(expected);
    expect(await complaint(server.address, { NAMESPACE })).toBe(expected);
  });

  // Each waits for the connection as long as a user would; all of them do so at once.
  test.concurrent.each<[string, () => Promise<string>, RegExp]>([
    [
      'TLS, asked in plain text',
      () => complaint(tls.address),
      /— it speaks TLS, and was asked in plain text\nnext: export TWINPATCH_TEMPORAL_TLS=true /,
    ],
    [
      'plain text, asked over TLS',
      () => complaint(server.address, { TLS: 'true' }),
      /— it speaks plain text, and was asked over TLS\nnext: export TWINPATCH_TEMPORAL_TLS=false /,
    ],
    [
      'a certificate of an authority nobody knows',
      () => complaint(tls.address, { TLS: 'true' }),
      /— an authority signed its certificate that is not known here .*\nnext: export TWINPATCH_TEMPORAL_TLS_CA=FILE /,
    ],
    [
      'a certificate of another authority',
      () => complaint(tls.address, { TLS_CA: fileOf('server.pem') }),
      /— its certificate is not signed by the one in TWINPATCH_TEMPORAL_TLS_CA .*\nnext: let TWINPATCH_TEMPORAL_TLS_CA /,
    ],
    [
      'a certificate for another name',
      () => complaint(tls.address.replace('localhost', '127.0.0.1'), { TLS_CA: fileOf('ca.pem') }),
      /— its certificate is for another name than 127\.0\.0\.1: .*\nnext: .* TWINPATCH_TEMPORAL_TLS_SERVER_NAME\n/,
    ],
    [
      'silence',
      async () => complaint(`127.0.0.1:${await freePort()}`),
      /— nothing listens there\nnext: start that server, or correct --temporal or TWINPATCH_TEMPORAL\n/,
    ],
    [
      'a name that leads nowhere',
      () => complaint('nowhere.invalid:7233'),
      /— the name nowhere\.invalid leads nowhere .*\nnext: /,
    ],
    [
      'a web page',
      async () => {
        const page = createHttpServer((_, answer) => answer.end('hello')).listen(0, '127.0.0.1');
        await once(page, 'listening');
        const said = await complaint(`127.0.0.1:${(page.address() as AddressInfo).port}`);
        page.close();
        return said;
      },
      /— it does not speak as Temporal does: .*\nnext: give the address of Temporal's frontend/,
    ],
  ])('that answers with %s is told from others', async (_what, said, expected) => {
    expect(await said()).toMatch(expected);
  });

  test('that is not named has no key: what is meant for another one goes to no embedded one', () => {
    expect(() => existingServer(undefined, { TWINPATCH_TEMPORAL_API_KEY: API_KEY })).toThrow(
      'TWINPATCH_TEMPORAL_API_KEY is set — but no server is named that it is for',
    );
  });
});

describe('a command', () => {
  const secure = () => ({
    TWINPATCH_TEMPORAL: keyed.address,
    TWINPATCH_TEMPORAL_TLS_CA: fileOf('ca.pem'),
  });

  test('says what is wrong and what to do, whichever it is', async () => {
    const store = await product.store();
    await store.batches.begin(toBatch('far', store.id));
    await store.batches.append('far', toSamples(1));
    const env = { ...secure(), TWINPATCH_TEMPORAL_API_KEY: 'wrong' };
    const [status, doctor, ...others] = await Promise.all([
      product.run(['status'], env),
      product.run(['doctor'], env),
      product.run(['resume', 'far'], env),
      product.run(['worker'], env),
    ]);
    const why = `no Temporal server answers at ${keyed.address} — it refuses the API key (no such key)`;
    const next = 'correct TWINPATCH_TEMPORAL_API_KEY';
    for (const ran of others) {
      expect(ran).toMatchObject({ code: 1, stderr: `error: ${why}\nnext: ${next}\n` });
    }
    expect(status).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('far: unknown') as string,
      stderr: `${why}: this is what the store knows\nnext: ${next}\n`,
    });
    expect(doctor.stdout).toContain(`no  server         ${why}\n    fix: ${next}\n`);
  });

  test('that is a worker works behind TLS and an API key', async () => {
    const env = { ...secure(), TWINPATCH_TEMPORAL_API_KEY: API_KEY };
    const worker = product.start(['worker', '--slots', '1'], env);
    await until('the worker has started', async () => worker.stderr().includes('worker started'));
    const { stdout } = await product.run(['doctor'], env);
    expect(stdout).toContain(`ok  server         1.29.1 at ${keyed.address}, `);
    expect(stdout).toContain('ok  worker         1 at work for this server');
    worker.child.kill('SIGTERM');
    expect(await worker.ended).toMatchObject({ code: 0 });
  });
});
