/** Keys and what is paid with them: a batch over endpoints that echo what they are sent, whose key is changed while it runs. */

import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchState } from '../../client/batch-state.ts';
import type { SpendLine } from '../../domain/spend.ts';
import { startScriptedTeacher } from '../../teacher/scripted/server.ts';
import { freePort } from '../support/free-port.ts';
import { COMMANDER, createProduct, type Product, type Ran, until } from '../support/product.ts';

/** Each is found nowhere but where it stands here. */
const KEYS = {
  first: 'canary-first-0d1e2f3a4b5c',
  second: 'canary-second-9f8e7d6c5b4a',
  variable: 'canary-variable-1a2b3c4d5e6f',
};
const PRICE = { input: 1, cachedInput: 0.1, output: 4 };
const NAME = 'secret';

interface Echoing {
  baseUrl: string;
  /** Values of the key's header, in the order in which they came. */
  keys: string[];
  server: Server;
}

/** Goes before a teacher; where `refuses` gives a status, it answers with that and with all that it was sent. */
async function startEchoing(
  teacher: string,
  header: string,
  refuses: (key: string, calls: number) => number | undefined,
): Promise<Echoing> {
  const keys: string[] = [];
  const server = createServer((incoming, outgoing) => {
    const key = String(incoming.headers[header] ?? '');
    keys.push(key);
    const status = refuses(key, keys.length);
    if (status === undefined) {
      const { port } = new URL(teacher);
      const { method, url, headers } = incoming;
      const forwarded = request({ port, method, path: url, headers }, (reply: IncomingMessage) => {
        outgoing.writeHead(reply.statusCode ?? 500, reply.headers);
        reply.pipe(outgoing);
      });
      incoming.pipe(forwarded);
      return;
    }
    incoming.resume().on('end', () => {
      const message = `no use for ${key}, sent as ${JSON.stringify(incoming.headers)}`;
      outgoing.writeHead(status, { 'content-type': 'application/json' });
      outgoing.end(JSON.stringify({ error: { message, type: 'echo', headers: incoming.headers } }));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { baseUrl: `http://127.0.0.1:${port}/v1`, keys, server };
}

describe('keys, and what is paid with them', () => {
  let product: Product;
  let teacher: Awaited<ReturnType<typeof startScriptedTeacher>>;
  let byFile: Echoing;
  let byVariable: Echoing;
  /** Not in the product's folder, which is searched. */
  const keys = mkdtempSync(join(tmpdir(), 'twinpatch-keys-'));
  const keyFile = join(keys, 'key');
  let isMended = false;
  let metricsPort: number;
  let metrics = '';
  const outputs: Ran[] = [];

  const run = async (...args: string[]) => {
    const env = {
      CANARY_API_KEY: KEYS.variable,
      TWINPATCH_DEBUG: '1',
      TWINPATCH_METRICS_PORT: String(metricsPort),
    };
    const ran = await product.run(args, env);
    outputs.push(ran);
    return ran;
  };
  const status = async () => JSON.parse((await run('status', '--json')).stdout) as BatchState;

  beforeAll(async () => {
    metricsPort = await freePort();
    product = await createProduct();
    writeFileSync(keyFile, `${KEYS.first}\n`);
    const policies = { reproduce: 1 };
    teacher = await startScriptedTeacher({ seed: 7, latencyMs: 200, faultRate: 0, policies });
    byFile = await startEchoing(teacher.baseUrl, 'authorization', (key, calls) => {
      const isRight = calls <= 8 ? key.endsWith(KEYS.first) : key.endsWith(KEYS.second);
      return isRight ? undefined : 401;
    });
    byVariable = await startEchoing(teacher.baseUrl, 'x-secret', () =>
      isMended ? undefined : 500,
    );
    product.configure({
      name: NAME,
      repository: { source: COMMANDER },
      environment: { memory: '256MiB', maxProcesses: 128 },
      targets: { samples: 4, seed: 11 },
      rollout: { maxSteps: 10 },
      teacher: {
        price: PRICE,
        endpoints: [
          { baseUrl: byFile.baseUrl, model: 'scripted', apiKeyFile: keyFile },
          {
            baseUrl: byVariable.baseUrl,
            model: 'scripted',
            apiKeyEnv: 'CANARY_API_KEY',
            keyHeader: 'x-secret',
          },
        ],
      },
    });
  });
  afterAll(async () => {
    await product?.close();
    for (const each of [byFile, byVariable]) {
      each?.server.closeAllConnections();
      each?.server.close();
    }
    await teacher?.close();
    rmSync(keys, { recursive: true, force: true });
  });

  it('a key that is changed in its file is used at once, by the worker that runs', async () => {
    const port = String(product.port);
    expect(await run('run', '--detach', '--port', port)).toMatchObject({ code: 0 });
    await until('status tells that nobody takes a key', async () =>
      (await status()).waiting.some(({ reason }) => reason.includes('no use for')),
    );
    writeFileSync(keyFile, `${KEYS.second}\n`);
    await until('the second key is used', async () =>
      byFile.keys.some((key) => key.endsWith(KEYS.second)),
    );
    isMended = true;
  });

  it('status says what is done at each endpoint just now', async () => {
    await until('it does', async () => {
      const { endpoints } = await status();
      return endpoints.some(({ outputTokensPerSecond }) => outputTokensPerSecond > 0);
    });
    await until('it has ended', async () => (await status()).phase === 'finished');
    const { projected, spent } = await status();
    expect(projected).toMatchObject({ costUsd: spent.costUsd, hoursLeft: 0 });
  });

  it('metrics of the worker are on loopback, and say the same as the ledger', async () => {
    metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    const sumOf = (name: string) =>
      [...metrics.matchAll(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'gm'))].reduce(
        (sum, [, value]) => sum + Number(value),
        0,
      );
    const { spent } = await status();
    expect(sumOf('twinpatch_calls_total')).toBe(spent.calls);
    expect(sumOf('twinpatch_tokens_total')).toBe(spent.inputTokens + spent.outputTokens);
    expect(sumOf('twinpatch_cost_micro_usd_total') / 1e6).toBeCloseTo(spent.costUsd ?? -1, 2);
    expect(metrics).toContain('temporal_worker_task_slots_available');
  });

  it('every paid call is a line of the ledger, with its price', async () => {
    const lines: SpendLine[] = [];
    for await (const line of (await product.store()).spend.lines(NAME)) lines.push(line);
    const { spent } = await status();
    expect(lines).toHaveLength(spent.calls);
    expect(lines.reduce((sum, { costUsd }) => sum + (costUsd ?? 0), 0)).toBeCloseTo(
      spent.costUsd ?? -1,
    );
    const stages = new Set(lines.map(({ stage }) => stage));
    expect([...stages].sort()).toEqual(['rollout-1', 'rollout-2', 'self-check', 'synthetic-pr']);
    for (const line of lines) {
      expect(line).toMatchObject({ batch: NAME, price: PRICE, generation: 1, model: 'scripted' });
      expect(line.costUsd).toBeGreaterThan(0);
    }
  });

  it('no key and no header of one is in anything that a run leaves: store, server, logs, output, metrics', async () => {
    await run('show', `${NAME}/000000`, '--steps', '--json');
    expect(await run('export', '--check', '--out', 'out')).toMatchObject({ code: 0 });
    await run('doctor');
    await run('down');
    const texts: [where: string, text: string][] = [
      ['metrics', metrics],
      ...outputs.map(({ stdout, stderr }, index): [string, string] => [
        `output ${index}`,
        stdout + stderr,
      ]),
      ...filesOf(product.folder),
    ];
    // All was searched that there is to search.
    const names = texts.map(([where]) => where).join('\n');
    for (const part of ['worker.log', 'server.log', 'temporal.db', 'spend/', 'blobs/', 'out/']) {
      expect(names).toContain(part);
    }
    const told = texts.filter(([, text]) => text.includes('no use for')).map(([where]) => where);
    expect(told.join('\n')).toContain('temporal.db');
    const found = texts.filter(([, text]) =>
      Object.values(KEYS).some((key) => text.includes(key) || text.includes(inBase64(key))),
    );
    expect(found.map(([where]) => where)).toEqual([]);
  });
});

/** Every file below a folder, as text; compressed ones as what they hold. */
function filesOf(folder: string): [string, string][] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      const bytes = readFileSync(path);
      const isCompressed = bytes[0] === 0x1f && bytes[1] === 0x8b;
      return [path, (isCompressed ? gunzipSync(bytes) : bytes).toString('latin1')];
    });
}

/** The part of it that is the same wherever in an encoded text it begins at a multiple of three bytes. */
function inBase64(key: string): string {
  return Buffer.from(key).toString('base64').slice(0, 24);
}
