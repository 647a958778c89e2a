import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectionOptions } from '../../../worker/connection.ts';
import { defaultSlots, readEnvironment } from '../../../worker/environment.ts';

describe('the environment of a worker', () => {
  test('needs nothing set', () => {
    expect(readEnvironment({})).toEqual({
      store: '.twinpatch/store',
      temporal: '127.0.0.1:7233',
      namespace: 'twinpatch',
      slots: defaultSlots(),
      maxLoad: 4 * availableParallelism(),
      memoryReserveBytes: 512 * 1024 ** 2,
      imageBytes: 30e9,
      saving: { everySteps: 5, everyMs: 10_000, maxBytes: 48 * 1024 ** 2 },
      cacheFolder: join(homedir(), '.cache', 'twinpatch'),
      diskReserveBytes: 1024e6,
      shareImages: false,
      metricsPort: 9464,
      allowedKeyVariables: [],
    });
    expect(defaultSlots()).toBeGreaterThanOrEqual(1);
  });

  test('shares images where the store is a bucket', () => {
    const TWINPATCH_STORE = 's3://bucket/prefix';
    expect(readEnvironment({ TWINPATCH_STORE }).shareImages).toBe(true);
    const alone = { TWINPATCH_STORE, TWINPATCH_SHARE_IMAGES: '0' };
    expect(readEnvironment(alone).shareImages).toBe(false);
  });

  test('is read from its variables', () => {
    const environment = readEnvironment({
      TWINPATCH_STORE: '/data/store',
      TWINPATCH_TEMPORAL: 'temporal.example:7233',
      TWINPATCH_NAMESPACE: 'lab',
      TWINPATCH_SLOTS: '12',
      TWINPATCH_MAX_LOAD: '2.5',
      TWINPATCH_MEMORY_RESERVE_MB: '100',
      TWINPATCH_IMAGE_GB: '5',
      XDG_CACHE_HOME: '/cache',
      TWINPATCH_DISK_RESERVE_MB: '200',
      TWINPATCH_SAVE_STEPS: '2',
      TWINPATCH_SAVE_SECONDS: '30',
      TWINPATCH_SAVE_MB: '8',
      TWINPATCH_SHARE_IMAGES: '1',
      TWINPATCH_METRICS_PORT: '0',
      TWINPATCH_ALLOW_ENV: 'HF_TOKEN,OTHER',
    });
    expect(environment).toEqual({
      store: '/data/store',
      temporal: 'temporal.example:7233',
      namespace: 'lab',
      slots: 12,
      maxLoad: 2.5,
      memoryReserveBytes: 100 * 1024 ** 2,
      imageBytes: 5e9,
      saving: { everySteps: 2, everyMs: 30_000, maxBytes: 8 * 1024 ** 2 },
      cacheFolder: '/cache/twinpatch',
      diskReserveBytes: 2e8,
      shareImages: true,
      metricsPort: undefined,
      allowedKeyVariables: ['HF_TOKEN', 'OTHER'],
    });
  });

  test.each([
    ['TWINPATCH_SLOTS', '0'],
    ['TWINPATCH_SLOTS', 'many'],
    ['TWINPATCH_SLOTS', '1.5'],
    ['TWINPATCH_SLOTS', ''],
    ['TWINPATCH_MAX_LOAD', '0'],
    ['TWINPATCH_TEMPORAL', 'http://temporal.example'],
    ['TWINPATCH_TEMPORAL', 'temporal.example'],
    ['TWINPATCH_TEMPORAL', 'temporal.example:70000'],
    ['TWINPATCH_STORE', ''],
  ])('names %s when it is "%s"', (name, value) => {
    expect(() => readEnvironment({ [name]: value })).toThrow(`${name}: `);
  });
});

describe('the connection to the server', () => {
  let folder: string;
  const address = 'temporal.example:7233';
  const optionsOf = (variables: Record<string, string>) =>
    connectionOptions(
      { address },
      Object.fromEntries(
        Object.entries(variables).map(([name, value]) => [`TWINPATCH_TEMPORAL_${name}`, value]),
      ),
    );
  const pathOf = (name: string) => join(folder, name);

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twinpatch-tls-'));
    for (const name of ['ca', 'cert', 'key']) await writeFile(pathOf(name), name);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test.each([
    ['plain, with nothing set', {}, { address }],
    ['over TLS, when asked', { TLS: 'true' }, { address, tls: true }],
    ['over TLS, with an API key', { API_KEY: 'k' }, { address, tls: true, apiKey: 'k' }],
    ['plain with an API key, when asked', { API_KEY: 'k', TLS: 'false' }, { address, apiKey: 'k' }],
    ['plain, with empty variables', { API_KEY: '', TLS: '', TLS_CA: '' }, { address }],
  ])('is %s', (_how, variables, expected) => {
    expect(optionsOf(variables)).toEqual(expected);
  });

  test('has the certificates of the files', () => {
    const variables = { TLS_CA: pathOf('ca'), TLS_CERT: pathOf('cert'), TLS_KEY: pathOf('key') };
    expect(optionsOf(variables).tls).toEqual({
      serverRootCACertificate: Buffer.from('ca'),
      clientCertPair: { crt: Buffer.from('cert'), key: Buffer.from('key') },
    });
  });

  test('names the variable whose file can not be read', () => {
    expect(() => optionsOf({ TLS_CA: pathOf('nowhere') })).toThrow(
      `TWINPATCH_TEMPORAL_TLS_CA: ${pathOf('nowhere')} can't be read (ENOENT)`,
    );
  });

  test.each([
    ['TLS', 'yes', 'TWINPATCH_TEMPORAL_TLS is yes: expected true or false'],
    ['API_KEY', 'a key\n', 'TWINPATCH_TEMPORAL_API_KEY has a space'],
  ])('names %s when it is "%s"', (name, value, expected) => {
    expect(() => optionsOf({ [name]: value })).toThrow(expected);
  });

  test.each(['TLS_CERT', 'TLS_KEY'])('is refused with %s alone', (name) => {
    expect(() => optionsOf({ [name]: pathOf('cert') })).toThrow('set both or none');
  });
});
