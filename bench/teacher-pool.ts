/** How much of what several endpoints can do a pool gets out of them, and how much of the rest after one of them has died. */

import { once, setMaxListeners } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { batchConfigSchema } from '../domain/config.ts';
import { rolloutId, sampleKey } from '../domain/ids.ts';
import { createTeacher } from '../teacher/client.ts';

/** Each serves so many calls at once, so long each, and refuses what is more; the pool is told of twice as many. */
const ENDPOINTS = [500, 1000, 2000].map((latencyMs) => ({ slots: 8, latencyMs }));
const DYING = 1;
const ROLLOUTS = 64;
/** Between two calls of a rollout. */
const TOOL_MS = 20;
const FIND_MS = 30_000;
const MEASURED_MS = 30_000;
const RECOVER_MS = 10_000;

const REPLY = JSON.stringify({
  choices: [{ message: { role: 'assistant', content: 'yes' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1000, completion_tokens: 40 },
});

/** One figure: shares of the capacity that was there, from half a minute on, and from ten seconds after the death on. */
export async function benchPool(
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<object> {
  const servers = await Promise.all(ENDPOINTS.map(startEndpoint));
  const { teacher: config } = batchConfigSchema.parse({
    name: 'bench',
    teacher: {
      endpoints: servers.map(({ baseUrl }) => ({
        baseUrl,
        model: 'bench',
        stream: false,
        maxConcurrency: 2 * (ENDPOINTS[0]?.slots ?? 1),
      })),
    },
  });
  const teacher = createTeacher(config, { apiKey: () => Promise.resolve(undefined) });
  const stop = new AbortController();
  const until = AbortSignal.any([signal, stop.signal]);
  setMaxListeners(0, until);
  async function run(index: number): Promise<void> {
    const scope = rolloutId('bench', sampleKey(index, 'a'.repeat(6)), 1, 1);
    for (let step = 1; !until.aborted; step += 1) {
      const messages = [{ role: 'user' as const, content: 'Is it?' }];
      await teacher.complete({ messages }, { scope, step, try: 1 }, until);
      await sleep(TOOL_MS, undefined, { signal: until });
    }
  }

  /** Calls served per second, and what share that is of those that could have been, as long as each really took. */
  async function measure(alive: Server[]): Promise<{ perS: number; used: number }> {
    for (const server of alive) server.take();
    const fromMs = performance.now();
    await sleep(MEASURED_MS, undefined, { signal });
    const seconds = (performance.now() - fromMs) / 1000;
    const served = alive.map((server) => server.take());
    const perS = sum(served.map(({ calls }) => calls)) / seconds;
    return { perS, used: perS / sum(served.map(({ capacityPerS }) => capacityPerS)) };
  }

  const running = Array.from({ length: ROLLOUTS }, (_, index) =>
    run(index).catch((error: unknown) => {
      if (!until.aborted) throw error;
    }),
  );
  try {
    note('finding out what three endpoints take');
    await sleep(FIND_MS, undefined, { signal });
    const all = await measure(servers);
    servers[DYING]?.close();
    note('one of them is dead');
    await sleep(RECOVER_MS, undefined, { signal });
    const rest = await measure(servers.filter((_, index) => index !== DYING));
    return {
      bench: 'teacher',
      figure: 'pool',
      endpoints: ENDPOINTS.length,
      callsPerS: rounded(all.perS),
      capacityUsed: rounded(all.used),
      callsPerSAfterDeath: rounded(rest.perS),
      capacityUsedAfterDeath: rounded(rest.used),
    };
  } finally {
    stop.abort();
    await Promise.all(running);
    await teacher.close();
    for (const server of servers) server.close();
  }
}

// --- internal ---

type Server = Awaited<ReturnType<typeof startEndpoint>>;

async function startEndpoint({ slots, latencyMs }: (typeof ENDPOINTS)[number]) {
  let underWay = 0;
  let [calls, servedMs] = [0, 0];
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      response.setHeader('content-type', 'application/json');
      if (underWay >= slots) {
        response.statusCode = 429;
        response.end('{"error": {"message": "too many requests"}}');
        return;
      }
      underWay += 1;
      const fromMs = performance.now();
      setTimeout(() => {
        underWay -= 1;
        calls += 1;
        servedMs += performance.now() - fromMs;
        response.end(REPLY);
      }, latencyMs);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    /** Calls since it was last asked, and how many of the kind it could serve per second. */
    take() {
      const taken = { calls, capacityPerS: (1000 * slots) / (servedMs / Math.max(1, calls)) };
      [calls, servedMs] = [0, 0];
      return taken;
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function sum(values: number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
