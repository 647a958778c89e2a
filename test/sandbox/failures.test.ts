/** Failures that users of other tools report. The numbers are those of docs/security.md. */

import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';

import { EngineUnavailable } from '../../domain/ports.ts';
import { ensureBase } from '../../sandbox/base-image.ts';
import { connectEngine } from '../../sandbox/engine.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { count } from '../support/counts.ts';
import { startEngineProxy } from '../support/engine-proxy.ts';
import { startRegistry } from '../support/registry-stub.ts';
import { LIMITS } from '../support/sandbox-fixture.ts';
import { openSuite, run, say } from '../support/sandbox-suite.ts';

const suite = await openSuite('failures');
const { imageId, installation, engine } = suite;
const proxy = await startEngineProxy();
/** The same sandboxes through the proxy; made anew, because what was lost on the way stays under way. */
const open = async (memoryBytes = Infinity) =>
  createSandboxes({
    engine: await connectEngine({ host: proxy.host }),
    installation,
    memoryBytes,
  });
const signal = new AbortController().signal;

const specOf = (rollout: string) => ({
  imageId,
  limits: LIMITS,
  epoch: 1,
  labels: { batch: 'b', sample: 's', rollout },
});
const left = async () => (await suite.sandboxes.list()).map(({ labels }) => labels.rollout);

afterAll(() => proxy.close());
afterEach(() => {
  proxy.decide = () => 'pass';
  proxy.onAnswer = () => {};
});

describe('what is left', () => {
  it('F2: of a sandbox that is called off while the engine makes it: nothing', async () => {
    const behind = await open();
    const abort = new AbortController();
    proxy.decide = ({ path }) => {
      if (!/^\/containers\/create.*_off/.test(path)) return 'pass';
      setTimeout(() => abort.abort(new Error('drained')), 100);
      return 400;
    };
    const work = behind.start(specOf('b/s/off'), abort.signal);
    await expect(work).rejects.toThrow('drained');
    await sleep(600);
    expect(await left()).toEqual([]);
  });

  it('F2: of an image that asks for volumes: none of them', async () => {
    const { Id } = (await engine.docker.getContainer((await suite.start()).ref.container).commit({
      repo: 'twinpatch/prepared',
      tag: `${installation}-volume`,
      changes: ['VOLUME /data'],
    })) as { Id: string };
    const volumes = async () =>
      (await engine.docker.listVolumes()).Volumes.map(({ Name }) => Name).filter((name) =>
        /^[0-9a-f]{64}$/.test(name),
      );
    const before = await volumes();
    const sandbox = await suite.start({ imageId: Id });
    expect(await say(sandbox, 'grep -c /data /proc/self/mountinfo')).toBe('1\n');
    await sandbox.close();
    expect((await volumes()).filter((name) => !before.includes(name))).toEqual([]);
    await suite.sandboxes.removeAll();
    await suite.sandboxes.removeImages([Id]);
  });
});

describe('an engine that loses calls', () => {
  /** A thirtyfold faster clock for the deadlines of calls. */
  let pace: NodeJS.Timeout;
  const hurry = () => {
    pace = setInterval(() => vi.advanceTimersByTime(300), 10);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  };
  afterEach(() => {
    vi.useRealTimers();
    clearInterval(pace);
  });

  it('F9: is asked again, every call has its end, and no command runs twice', async () => {
    const behind = await open();
    hurry();
    let calls = 0;
    let state = 1;
    proxy.decide = () => {
      calls++;
      state = (state * 48_271) % 2_147_483_647; // the same calls each time, in no rhythm
      return state % 12 === 0 ? 'lose' : 'pass';
    };
    const again = async <T>(work: () => Promise<T>): Promise<T> => {
      for (;;) {
        try {
          return await work();
        } catch (error) {
          if (!(error instanceof EngineUnavailable)) throw error;
        }
      }
    };
    let found = await again(() => behind.start(specOf('b/s/lossy'), signal));
    for (let turn = 1; turn <= count(6, 60); turn++) {
      const request = {
        id: `turn-${turn}`,
        shell: { cwd: '/testbed', env: {} },
        timeoutMs: 30_000,
        maxOutputBytes: 1000,
      };
      const { output } = await again(() =>
        found.run({ ...request, command: 'echo x >>turns; wc -l <turns' }),
      );
      expect(output).toBe(`${turn}\n`);
      found = (await again(() => behind.find('b/s/lossy', turn + 1, LIMITS))) ?? found;
    }
    await again(() => found.close());
    expect(calls).toBeGreaterThan(30);
    expect(await left()).toEqual([]);
  });

  it('F10: and answers nothing any more holds up no teardown', async () => {
    const behind = await open();
    const sandbox = await behind.start(specOf('b/s/silent'), signal);
    expect(await say(sandbox, 'echo here')).toBe('here\n');
    hurry();
    proxy.decide = () => 'lose';
    const ends = await Promise.allSettled([
      sandbox.close(),
      behind.find('b/s/silent', 2, LIMITS),
      behind.removeAll(),
      behind.close(),
    ]);
    expect(ends.map(({ status }) => status)).toEqual([
      'rejected',
      'rejected',
      'rejected',
      'fulfilled',
    ]);
    for (const end of ends)
      if (end.status === 'rejected') expect(end.reason).toBeInstanceOf(EngineUnavailable);
    proxy.decide = () => 'pass';
    await suite.sandboxes.removeAll();
  });
});

describe('a start storm', () => {
  const size = count(10, 200);

  it(`F22: of sandboxes that may take more memory than twice the host's waits for one to close`, async () => {
    const behind = await open(0.75 * LIMITS.memoryBytes);
    const first = await behind.start(specOf('b/s/first'), signal);
    let waitsFor = '';
    const onWaiting = (reason: string) => (waitsFor = reason);
    const second = behind.start({ ...specOf('b/s/second'), onWaiting }, signal);
    await vi.waitUntil(() => waitsFor !== '');
    expect(waitsFor).toMatch(/0\.5 GiB of memory by their limits.*host has 0\.4 GiB/);
    await sleep(500);
    expect(await left()).toEqual(['b/s/first']);
    await first.close();
    expect(await say(await second, 'echo here')).toBe('here\n');
    await (await second).close();
  });

  it(`F18, F19, F20, F24: of many sandboxes is bounded, needs no network and leaves no descriptor`, async () => {
    const networks = async () =>
      (await engine.docker.listNetworks()).map(({ Name }) => Name).sort();
    const before = { networks: await networks(), files: readdirSync('/proc/self/fd').length };
    const behind = await open();
    let starting = 0;
    let most = 0;
    const isStart = ({ path }: { path: string }) => /^\/containers\/[^/]+\/start/.test(path);
    proxy.decide = (call) => {
      if (isStart(call)) most = Math.max(most, ++starting);
      return 'pass';
    };
    proxy.onAnswer = (call) => {
      if (isStart(call)) starting--;
    };
    const started = await Promise.all(
      Array.from({ length: size }, (_, index) =>
        behind.start(specOf(`b/s/storm-${index}`), signal),
      ),
    );
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(2 * engine.cpus);
    for (const sandbox of started) expect(await say(sandbox, 'echo here')).toBe('here\n');
    expect(await networks()).toEqual(before.networks);
    const { NetworkSettings } = await engine.docker
      .getContainer(started[0]?.ref.container ?? '')
      .inspect();
    expect(Object.keys(NetworkSettings.Networks)).toEqual(['none']);
    const since = performance.now();
    await Promise.all(started.map((sandbox) => sandbox.close()));
    expect(performance.now() - since).toBeLessThan(200 * size + 2000); // 100 in 20 s, on a host that others use
    expect(await left()).toEqual([]);
    // Idle connections to the engine close by themselves after some seconds.
    await expect
      .poll(() => readdirSync('/proc/self/fd').length, { timeout: 20_000 })
      .toBeLessThanOrEqual(before.files + 4);
  });

  it('F17: of one rollout, by two workers at once, leaves one sandbox, and it works', async () => {
    const behind = await open();
    const rollout = 'b/s/twice';
    const results = await Promise.allSettled(
      [behind, suite.sandboxes, behind, suite.sandboxes].map((sandboxes) =>
        sandboxes.start(specOf(rollout), signal),
      ),
    );
    const containers = await suite.sandboxes.list();
    expect(containers).toHaveLength(1);
    const living = results.flatMap((result) =>
      result.status === 'fulfilled' ? [result.value] : [],
    );
    const last = living.find(({ ref }) => ref.container === containers[0]?.id);
    expect(last && (await say(last, 'echo here'))).toBe('here\n');
    for (const result of results)
      if (result.status === 'rejected')
        expect(['SandboxLost', 'EngineUnavailable']).toContain((result.reason as Error).name);
    const { HostConfig } = await engine.docker
      .getContainer(rollout && (containers[0]?.id ?? ''))
      .inspect();
    expect(HostConfig.PortBindings ?? {}).toEqual({});
    expect(HostConfig.PublishAllPorts).toBe(false);
    await suite.sandboxes.removeAll();
  });
});

describe('exit codes', () => {
  it('F12: are right, of many commands at once', async () => {
    const sandboxes = await Promise.all([suite.start(), suite.start()]);
    const codes = new Map<number | null, number>();
    const rounds = count(10, 160);
    await Promise.all(
      Array.from({ length: 64 }, async (_, at) => {
        for (let round = 0; round < rounds; round++) {
          const { exitCode } = await run(sandboxes[at % 2] ?? sandboxes[0], 'exit 7');
          codes.set(exitCode, (codes.get(exitCode) ?? 0) + 1);
        }
      }),
    );
    expect([...codes]).toEqual([[7, 64 * rounds]]);
    await Promise.all(sandboxes.map((sandbox) => sandbox.close()));
  });
});

describe('an image registry', () => {
  it.each([
    [
      'has had too many requests',
      { status: 429, code: 'TOOMANYREQUESTS', headers: { 'retry-after': '1' } },
    ],
    ['is overloaded', { status: 503, code: 'UNAVAILABLE' }],
    ['fails', { status: 500, code: 'UNKNOWN' }],
  ])(
    'F15: that %s is trouble that passes, and the next try has the image, pulled once',
    async (_what, refusal) => {
      const registry = await startRegistry();
      const spec = { base: { image: registry.reference }, setupTimeoutMs: 10_000 };
      try {
        registry.refusals = Array.from({ length: 12 }, () => refusal);
        const work = ensureBase(engine, spec, {});
        await expect(work).rejects.toThrow(EngineUnavailable);
        await expect(work).rejects.toThrow(registry.reference);
        registry.refusals = [];
        const ids = await Promise.all(
          Array.from({ length: 8 }, () => ensureBase(engine, spec, {})),
        );
        expect(new Set(ids).size).toBe(1);
        expect(registry.requests.contents).toBe(2);
        await engine.docker.getImage(registry.reference).remove({ force: true });
      } finally {
        registry.close();
      }
    },
  );

  it('F15: that has no such image is told as it is', async () => {
    const registry = await startRegistry();
    registry.refusals = Array.from({ length: 12 }, () => ({
      status: 404,
      code: 'MANIFEST_UNKNOWN',
    }));
    try {
      await expect(
        ensureBase(engine, { base: { image: registry.reference }, setupTimeoutMs: 10_000 }, {}),
      ).rejects.toMatchObject({
        name: 'ImageError',
        kind: 'not-found',
      });
    } finally {
      registry.close();
    }
  });
});
