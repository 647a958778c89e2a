/**
 * Engines that are not at hand, as their API documentation describes their answers: written by hand, from the version history of
 * the Docker Engine API and of podman's compatible API, and not recorded from a real one.
 */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, describe, expect, it } from 'vitest';

import { EngineUnavailable, SandboxLost } from '../../domain/ports.ts';
import { removeContainer, toSandboxError, whyLost } from '../../sandbox/container.ts';
import { call, connectEngine } from '../../sandbox/engine.ts';
import { createReaper } from '../../sandbox/reaper.ts';

interface Answer {
  status: number;
  body?: unknown;
}

const INFO = { ID: 'engine', NCPU: 2, Architecture: 'x86_64', DockerRootDir: '/var/lib/docker' };
let server: Server | undefined;

afterEach(() => server?.close());

/** An engine that speaks only the versions it offers, and answers `METHOD path` by the table. */
async function engineOf(
  version: { ApiVersion: string; MinAPIVersion?: string },
  answers: Record<string, Answer> = {},
) {
  const asked: string[] = [];
  server = createServer((request, response) => {
    const [, spoken, path = ''] = /^(?:\/v([\d.]+))?(\/[^?]*)/.exec(request.url ?? '') ?? [];
    asked.push(`${request.method} ${request.url}`);
    const reply = ({ status, body }: Answer) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(body === undefined ? undefined : JSON.stringify(body));
    };
    const minor = (text = '1.0') => Number(text.split('.')[1]);
    if (spoken !== undefined && minor(spoken) > minor(version.ApiVersion)) {
      const message = `client version ${spoken} is too new. Maximum supported API version is ${version.ApiVersion}`;
      return reply({ status: 400, body: { message } });
    }
    if (spoken !== undefined && minor(spoken) < minor(version.MinAPIVersion)) {
      const message = `client version ${spoken} is too old. Minimum supported API version is ${version.MinAPIVersion}, please upgrade your client to a newer version`;
      return reply({ status: 400, body: { message } });
    }
    if (path === '/version') return reply({ status: 200, body: version });
    if (path === '/info') return reply({ status: 200, body: INFO });
    return reply(
      answers[`${request.method} ${path}`] ?? { status: 404, body: { message: 'none' } },
    );
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { engine: await connectEngine({ host: `tcp://127.0.0.1:${port}` }), asked };
}

const inspected = (State: object): Answer => ({ status: 200, body: { Id: 'c', State } });

describe('an engine as documented', () => {
  it.each([
    ['Docker 20.10', { ApiVersion: '1.41', MinAPIVersion: '1.12' }, 'v1.41'],
    ['Docker 25', { ApiVersion: '1.44', MinAPIVersion: '1.24' }, 'v1.44'],
    ['Docker 28', { ApiVersion: '1.51', MinAPIVersion: '1.24' }, 'v1.47'],
    ['Docker 29', { ApiVersion: '1.52', MinAPIVersion: '1.44' }, 'v1.47'],
    ['podman 5', { ApiVersion: '1.41', MinAPIVersion: '1.24' }, 'v1.41'],
    ['an engine of the future', { ApiVersion: '1.70', MinAPIVersion: '1.60' }, 'v1.60'],
  ])('%s is asked in a version that it speaks', async (_name, version, spoken) => {
    const { engine, asked } = await engineOf(version);
    expect(asked.at(-1)).toBe(`GET /${spoken}/info`);
    expect(engine).toMatchObject({ id: 'engine', cpus: 2, dataFolder: undefined });
  });

  it.each([
    ['upgraded', { ApiVersion: '1.70', MinAPIVersion: '1.60' }, 'v1.60'],
    ['downgraded', { ApiVersion: '1.42', MinAPIVersion: '1.24' }, 'v1.42'],
  ])(
    'that is %s while we work is asked in a version that it speaks',
    async (_how, next, spoken) => {
      const version = { ApiVersion: '1.47', MinAPIVersion: '1.24' };
      const { engine, asked } = await engineOf(version, {
        'GET /containers/c/json': inspected({ Running: true }),
        'POST /containers/c/exec': { status: 201, body: { Id: 'e' } },
      });
      Object.assign(version, next);
      asked.length = 0;
      const create = () =>
        call('exec create', (abortSignal) =>
          engine.docker.getContainer('c').exec({ Cmd: ['true'], abortSignal }),
        );
      expect(
        await Promise.all([whyLost(engine, 'c'), create().then(({ id }) => id), create()]),
      ).toEqual([undefined, 'e', expect.anything()]);
      expect(asked.filter((line) => line === 'GET /version')).toHaveLength(1);
      asked.length = 0;
      expect(await whyLost(engine, 'c')).toBeUndefined();
      expect(asked).toEqual([`GET /${spoken}/containers/c/json`]);
    },
  );

  it('that is replaced by one that is too old for us says so', async () => {
    const version = { ApiVersion: '1.47', MinAPIVersion: '1.24' };
    const { engine } = await engineOf(version);
    version.ApiVersion = '1.40';
    await expect(whyLost(engine, 'c')).rejects.toThrow(
      /speaks API 1.40 at most; 1.41 .* is needed. Update/,
    );
  });

  it('Docker: a container that is gone, stopped, paused or killed for memory is lost, each with its reason', async () => {
    const { engine } = await engineOf(
      { ApiVersion: '1.51', MinAPIVersion: '1.24' },
      {
        'GET /containers/stopped/json': inspected({ Running: false, ExitCode: 137 }),
        'GET /containers/memory/json': inspected({
          Running: false,
          ExitCode: 137,
          OOMKilled: true,
        }),
        'GET /containers/paused/json': inspected({ Running: true, Paused: true }),
        'GET /containers/fine/json': inspected({ Running: true, Paused: false }),
      },
    );
    expect(await whyLost(engine, 'stopped')).toBe('it ended with code 137');
    expect(await whyLost(engine, 'memory')).toBe('it ended with code 137, out of memory');
    expect(await whyLost(engine, 'paused')).toBe('it is paused');
    expect(await whyLost(engine, 'gone')).toBe('it was removed');
    expect(await whyLost(engine, 'fine')).toBeUndefined();
  });

  it('podman: its 500 for a container in the wrong state is trouble of the engine, and the state decides', async () => {
    const { engine } = await engineOf(
      { ApiVersion: '1.41', MinAPIVersion: '1.24' },
      {
        'POST /containers/stopped/exec': {
          status: 500,
          body: {
            cause: 'container state improper',
            message:
              'can only create exec sessions on running containers: container state improper',
            response: 500,
          },
        },
        'GET /containers/stopped/json': inspected({ Running: false, ExitCode: 0, Paused: false }),
      },
    );
    const refused: unknown = await call('exec create', (abortSignal) =>
      engine.docker.getContainer('stopped').exec({ Cmd: ['true'], abortSignal }),
    ).catch((error: unknown) => error);
    expect(toSandboxError(refused, 'stopped')).toBeInstanceOf(EngineUnavailable);
    expect(await whyLost(engine, 'stopped')).toBe('it ended with code 0');
  });

  it('podman: a removal that answers 200 with a body is a removal', async () => {
    const { engine, asked } = await engineOf(
      { ApiVersion: '1.41', MinAPIVersion: '1.24' },
      { 'DELETE /containers/c': { status: 200, body: [{ Id: 'c', Err: null }] } },
    );
    await removeContainer(engine, 'c');
    expect(asked.at(-1)).toContain('DELETE /v1.41/containers/c?force=true&v=true');
  });

  it('Docker: 409 is a container in use or in the wrong state, 400 a request that is wrong', async () => {
    const conflict = Object.assign(new Error('Container is not running'), { statusCode: 409 });
    const wrong = Object.assign(new Error('invalid'), { statusCode: 400 });
    expect(toSandboxError(conflict, 'c')).toBeInstanceOf(SandboxLost);
    expect(toSandboxError(wrong, 'c')).toBe(wrong);
  });

  it('lists images without the fields that newer versions left out, and volumes where there are none', async () => {
    const { engine } = await engineOf(
      { ApiVersion: '1.52', MinAPIVersion: '1.44' },
      {
        'GET /images/json': {
          status: 200,
          body: [{ Id: 'sha256:a', RepoTags: null, Size: 7, Created: 1, Labels: {} }],
        },
        'GET /volumes': { status: 200, body: { Volumes: null, Warnings: null } },
      },
    );
    const reaper = createReaper({ engine, installation: 'ours' });
    expect(await reaper.listImages()).toEqual([
      { id: 'sha256:a', tags: [], bytes: 7, createdAt: 1000 },
    ]);
    expect(await reaper.listVolumes()).toEqual([]);
  });
});
