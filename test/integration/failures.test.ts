/** Failures on purpose: each gives one clear message, leaves nothing half-made, and is over once its cause is. */

import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchState } from '../../client/batch-state.ts';
import type { BatchConfigInput } from '../../domain/config.ts';
import { startScriptedTeacher } from '../../teacher/scripted/server.ts';
import { COMMANDER, createProduct, newFolder, type Product, until } from '../support/product.ts';
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';

const base: Omit<BatchConfigInput, 'name' | 'teacher'> = {
  repository: { source: COMMANDER },
  environment: { memory: '256MiB', maxProcesses: 128 },
  targets: { samples: 1, seed: 11 },
  rollout: { maxSteps: 10 },
};

describe('what keeps a batch from starting', () => {
  let product: Product;
  beforeAll(async () => {
    product = await createProduct();
  });
  afterAll(async () => {
    await product?.close();
  });

  it('a wrong key is named with its place and the nearest right one', async () => {
    const text = `name: typo\nteacher: { scripted: {} }\ntargets:\n  sampels: 4\n`;
    writeFileSync(join(product.folder, 'twinpatch.yaml'), text);
    expect(await product.run(['run'])).toEqual({
      code: 3,
      stdout: '',
      stderr: expect.stringMatching(
        /^error: twinpatch\.yaml can't be used — a problem:\n {2}twinpatch\.yaml:4:3 {2}targets\.sampels: unknown key; did you mean `samples`\?\nnext: .+\n$/,
      ),
    });
    expect(existsSync(join(product.folder, '.twinpatch'))).toBe(false);
  });

  it.each(['status', 'show', 'export', 'resume', 'clean', 'down', 'doctor'])(
    '%s makes no store where nothing has been run: what is below would be taken for it',
    async (command) => {
      const named = command === 'show' ? [command, 'a'] : [command];
      const { code, stderr } = await product.run(named);
      expect(code).toBe(1);
      if (command !== 'doctor')
        expect(stderr).toMatch(/^error: no store at .*\nnext: twinpatch run/);
      expect(existsSync(join(product.folder, '.twinpatch'))).toBe(false);
    },
  );

  it('a repository without a function that can be targeted makes no batch', async () => {
    const empty = join(product.folder, 'empty');
    mkdirSync(empty);
    writeFileSync(join(empty, 'notes.txt'), 'nothing to see\n');
    product.configure({
      ...base,
      name: 'empty',
      repository: { source: 'empty' },
      teacher: { scripted: {} },
    });
    const { code, stderr } = await product.run(['run', '--port', String(product.port)]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /error: No function is eligible: no function in a language we know .*`twinpatch functions` shows/,
    );
    await expectNothingBegun();
  });

  it('a port that is taken is named, with another one to take', async () => {
    product.configure({ ...base, name: 'port', teacher: { scripted: {} } });
    const other = createServer().listen(product.port, '127.0.0.1');
    await once(other, 'listening');
    const { code, stderr } = await product.run(['run', '--port', String(product.port)]);
    other.close();
    expect(code).toBe(1);
    expect(stderr).toContain(
      `error: port ${product.port} is taken by another program — the embedded Temporal server needs it\nnext: twinpatch up --port ${product.port + 100} `,
    );
    await expectNothingBegun();
  });

  it.each(['localhost', 'http://localhost:7233', 'localhost:99999', ':7233', 'a b:1'])(
    'a server at %j is no address',
    async (address) => {
      const usage = {
        code: 2,
        stderr: expect.stringContaining(`${address} — that is no HOST:PORT`),
      };
      expect(await product.run(['run', '--temporal', address])).toMatchObject(usage);
      expect(await product.run(['run'], { TWINPATCH_TEMPORAL: address })).toMatchObject(usage);
      expect(await product.run(['status', '--temporal', address])).toMatchObject(usage);
      await expectNothingBegun();
    },
  );

  it('clean without an engine says what to do', async () => {
    const { code, stderr } = await product.run(['clean'], { DOCKER_HOST: 'unix:///nonexistent' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: .*Docker engine .*DOCKER_HOST/);
  });

  it('doctor without the engine that DOCKER_HOST names does not send anybody to set one up', async () => {
    const { code, stdout } = await product.run(['doctor'], { DOCKER_HOST: 'unix:///nonexistent' });
    expect(code).toBe(1);
    expect(stdout).toMatch(/no +docker engine .*DOCKER_HOST.*\n +fix: .*unset DOCKER_HOST\n/);
    expect(stdout).toMatch(/no +image .* can't be looked for\n/);
  });

  it('a server that was named and does not answer is named, with what to look at', async () => {
    const address = `127.0.0.1:${product.port}`;
    const { code, stderr } = await product.run(['run', '--temporal', address]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      new RegExp(
        `^error: no Temporal server answers at ${address} — nothing listens there\nnext: start that server, or correct .+\n$`,
      ),
    );
    await expectNothingBegun();
  });

  it.each(['run', 'up', 'demo'])(
    '%s without an engine names its address, and starts nothing',
    async (command) => {
      const args = [command, '--port', String(product.port)];
      const { code, stderr } = await product.run(args, { DOCKER_HOST: 'unix:///nonexistent' });
      expect(code).toBe(1);
      expect(stderr).toMatch(/^error: .*Docker engine .*\/nonexistent.*DOCKER_HOST.*\n/m);
      expect(stderr).not.toContain('server started');
      await expectNothingBegun();
    },
  );

  it('goes on where it was once the engine is there, and says why a sample gave no row', async () => {
    const policies = { 'empty-patch': 1 };
    product.configure({ ...base, name: 'nothing', teacher: { scripted: { policies } } });
    const { code, stdout } = await product.run(['run', '--port', String(product.port)]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/unverifiable:empty-patch .* rollout 1 submitted without a change/);
    const { stdout: exported } = await product.run(['export', 'nothing', '--check', '--json']);
    expect(JSON.parse(exported)).toMatchObject({
      samples: { planned: 1, unverifiable: { 'empty-patch': 1 } },
      t1: { rows: 0 },
      t2: { rows: 0 },
    });
  });

  it('a Dockerfile makes the base image, and belongs to the batch', async () => {
    const dockerfile = join(product.folder, 'Dockerfile');
    writeFileSync(dockerfile, 'FROM twinpatch/base:bookworm\nRUN echo made > /made\n');
    product.configure({
      ...base,
      name: 'dockerfile',
      environment: { ...base.environment, dockerfile: 'Dockerfile', setup: ['grep made /made'] },
      teacher: { scripted: { policies: { 'empty-patch': 1 } } },
    });
    expect(await product.run(['run'])).toMatchObject({ code: 0 });
    writeFileSync(dockerfile, 'FROM twinpatch/base:bookworm\n');
    const { code, stderr } = await product.run(['run']);
    expect(code).toBe(3);
    expect(stderr).toContain('environment.dockerfile: "FROM twinpatch/base:bookworm\\nRUN echo');
  });

  async function expectNothingBegun(): Promise<void> {
    expect(await (await product.store()).batches.list()).toEqual([]);
    expect(await product.leftovers()).toEqual([]);
  }
});

describe('a teacher in trouble', () => {
  let product: Product;
  const closing: (() => unknown)[] = [];

  beforeAll(async () => {
    product = await createProduct();
    const stub = createServer((_request, response) => {
      const error = { message: 'The model `missing` does not exist', code: 'model_not_found' };
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error }));
    }).listen(0, '127.0.0.1');
    await once(stub, 'listening');
    closing.push(
      () => stub.close(),
      () => stub.closeAllConnections(),
    );
    const stubUrl = `http://127.0.0.1:${(stub.address() as AddressInfo).port}/v1`;
    await run('model', { baseUrl: stubUrl, model: 'missing' });
    await run('key', { baseUrl: stubUrl, model: 'm', apiKeyEnv: 'NOT_THERE_API_KEY' });
    await run('late', { baseUrl: `http://127.0.0.1:${product.port + 2}/v1`, model: 'scripted' });
  });

  afterAll(async () => {
    await product?.close();
    for (const close of closing) await close();
  });

  it.each([
    [
      'model',
      /does not serve missing; it said: 404 The model `missing` does not exist\. Compare `model` and `baseUrl`/,
    ],
    [
      'key',
      /NOT_THERE_API_KEY is not set where the worker runs; set it and restart the worker: twinpatch down && twinpatch up/,
    ],
    [
      'late',
      /gives no usable reply for scripted; .*refused.*check that it runs and can be reached/i,
    ],
  ])('%s: no sample fails for it, and status says what to do', async (name, reason) => {
    // Between two waits it tries, and waits for nothing.
    const soon = { timeout: 120_000, interval: 500 };
    await expect
      .poll(async () => (await status(name)).waiting, soon)
      .toEqual([
        {
          reason: expect.stringMatching(reason),
          samples: 1,
          nextTryAt: expect.stringMatching(/^\d{4}-.*Z$/),
        },
      ]);
    await expect
      .poll(async () => (await product.run(['status', name])).stdout, soon)
      .toMatch(/^waiting \(1\): .* \(next try \d\d:\d\d:\d\d\)$/m);
    expect(await status(name)).toMatchObject({
      phase: 'running',
      unfinished: 1,
      infrastructure: 0,
    });
  });

  it('late: goes on by itself once the endpoint answers, its rows still marked as simulated', async () => {
    const scripted = { seed: 7, latencyMs: 0, faultRate: 0, policies: { reproduce: 1 } };
    const teacher = await startScriptedTeacher({ ...scripted, port: product.port + 2 });
    closing.push(() => teacher.close());
    await until('it has ended', async () => (await status('late')).phase === 'finished');
    expect(await status('late')).toMatchObject({ verified: 1 });
    const { stdout } = await product.run(['export', 'late', '--check', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      simulated: true,
      files: [{ name: 't1.SIMULATED.jsonl' }, { name: 't2.SIMULATED.jsonl' }],
    });
  });

  it('a server that is lost is told to who watches, and resume goes on', async () => {
    const watching = product.start(['status', 'model', '--follow']);
    await until('it is watched', async () => watching.stderr().includes('model: running'));
    await product.kill('server');
    const { code, stderr } = await watching.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /\nerror: the Temporal server does not answer any more — .*; what is done of model is in the store\nnext: twinpatch resume model\n$/,
    );
    expect(await product.run(['resume', 'model', '--detach'])).toMatchObject({ code: 0 });
    await until('it runs again', async () => (await status('model')).phase === 'running');
    for (const name of ['model', 'key'])
      expect(await product.run(['cancel', name])).toMatchObject({ code: 0 });
    expect(await product.containers()).toEqual([]);
  });

  async function run(
    name: string,
    endpoint: { baseUrl: string; model: string; apiKeyEnv?: string },
  ): Promise<void> {
    product.configure({ ...base, name, teacher: { endpoints: [endpoint] } });
    const ran = await product.run(['run', '--detach', '--port', String(product.port)]);
    expect(ran).toMatchObject({ code: 0 });
  }

  async function status(name: string): Promise<BatchState> {
    return JSON.parse((await product.run(['status', name, '--json'])).stdout) as BatchState;
  }
});

describe('a disk that is full', () => {
  let product: Product;
  let disk: SmallDisk;

  beforeAll(async () => {
    const folder = newFolder();
    disk = await mountSmallDisk(join(folder, '.twinpatch/store'), '8m');
    product = await createProduct({
      ...disk,
      wrap: [...disk.wrap, 'env', '--chdir', folder],
      folder,
    });
  });

  afterAll(async () => {
    await product?.close();
    await disk?.close();
  });

  it('is waited for, told by status, and the batch goes on by itself when there is room again', async () => {
    product.configure({
      ...base,
      name: 'full',
      teacher: { scripted: { latency: '300ms', policies: { reproduce: 1 } } },
    });
    const args = ['run', '--detach', '--port', String(product.port)];
    expect(await product.run(args)).toMatchObject({ code: 0 });
    await until('the teacher is asked', async () => (await status()).spent.calls > 0);
    await disk.fill();
    await until('status tells why it waits', async () =>
      (await status()).waiting.some(({ reason }) =>
        /the disk of the store is full; free some space/.test(reason),
      ),
    );
    await sleep(2_000);
    expect(await status()).toMatchObject({ phase: 'running', unfinished: 1 });

    disk.free();
    await until('it has ended', async () => (await status()).phase === 'finished');
    expect(await status()).toMatchObject({ verified: 1, infrastructure: 0 });
    expect(await product.run(['export', '--check'])).toMatchObject({ code: 0 });
  });

  async function status(): Promise<BatchState> {
    return JSON.parse((await product.run(['status', '--json'])).stdout) as BatchState;
  }
});
