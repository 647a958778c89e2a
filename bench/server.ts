/** How many samples a Temporal server carries: batches whose stages do nothing, on embedded ones and on one that is given. */

import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { connectClient, existingServer } from '../client/server.ts';
import { batchWorkflowId, MAIN_QUEUE } from '../domain/ids.ts';
import { createFakeBatch, startFakeWorker } from '../test/support/fake-stages.ts';
import { startTestServer } from '../test/support/temporal-server.ts';
import { bundleWorkflows } from '../worker/build-bundle.ts';
import { connectionOptions } from '../worker/connection.ts';
import type { BatchInput } from '../workflows/messages.ts';
import { median } from './workload.ts';

export interface ServerOptions {
  /** Of each round. */
  samples: number;
  /** HOST:PORT of a server to measure beside the embedded ones; TLS and API key by the usual variables. */
  temporal?: string | undefined;
}

/** Servers take turns, so that what else this machine does hits them alike. */
const ROUNDS = 3;
const WINDOW = 32;
/** Caches fill, and the namespace becomes known to every part of a server. */
const WARM_UP_SAMPLES = 10;

interface Carrier {
  name: string;
  client: Client;
  connection: NativeConnection;
  close(): Promise<void>;
}

/** One figure per server. Throws what keeps a server from being reached, and ends at the next round when interrupted. */
export async function benchServer(
  { samples, temporal }: ServerOptions,
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<object[]> {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const folder = await mkdtemp(join(tmpdir(), 'twinpatch-bench-'));
  const carriers: Carrier[] = [];
  try {
    const code = await bundleWorkflows();
    if (temporal !== undefined) carriers.push(await connectGiven(temporal));
    const wal = ['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', 'synchronous=NORMAL'];
    carriers.unshift(
      await startEmbedded('embedded', folder, []),
      await startEmbedded('embedded, WAL', folder, wal),
    );
    for (const carrier of carriers) await runBatch(carrier, code, WARM_UP_SAMPLES);
    const rates = carriers.map((): number[] => []);
    for (let round = 1; round <= ROUNDS; round += 1) {
      for (const [index, carrier] of carriers.entries()) {
        signal.throwIfAborted();
        const seconds = await runBatch(carrier, code, samples);
        rates[index]?.push(samples / seconds);
        note(
          `round ${round} of ${ROUNDS}, ${carrier.name}: ${samples} samples in ${seconds.toFixed(1)} s`,
        );
      }
    }
    return carriers.map(({ name }, index) => toFigure(name, samples, rates[index] ?? []));
  } finally {
    await Promise.all(carriers.map((carrier) => carrier.close()));
    await rm(folder, { recursive: true, force: true });
  }
}

// --- internal ---

async function startEmbedded(name: string, folder: string, pragmas: string[]): Promise<Carrier> {
  const file = join(folder, `${randomUUID()}.db`);
  return { name, ...(await startTestServer({}, ['--db-filename', file, ...pragmas])) };
}

async function connectGiven(temporal: string): Promise<Carrier> {
  const server = existingServer(temporal, process.env);
  if (server === undefined) throw new Error('no server is named');
  const client = await connectClient(server, process.env);
  const connection = await NativeConnection.connect(connectionOptions(server, process.env));
  return {
    name: temporal,
    client,
    connection,
    async close() {
      await connection.close();
      await client.connection.close();
    },
  };
}

/** Seconds that a batch took, its worker in this process. */
async function runBatch(
  { client, connection }: Carrier,
  code: string,
  samples: number,
): Promise<number> {
  // One that is given keeps its batches.
  const batchId = `bench-${randomUUID()}`;
  const stop = await startFakeWorker(
    connection,
    code,
    createFakeBatch(samples, () => ({})),
  );
  try {
    const startedAt = performance.now();
    const input: BatchInput = { batchId, repository: 'example', window: WINDOW };
    await client.workflow.execute('batchWorkflow', {
      taskQueue: MAIN_QUEUE,
      workflowId: batchWorkflowId(batchId),
      args: [input],
    });
    return (performance.now() - startedAt) / 1000;
  } finally {
    await stop();
  }
}

function toFigure(server: string, samples: number, rates: number[]): object {
  const round = (rate: number) => Math.round(rate * 100) / 100;
  return {
    bench: 'server',
    server,
    samples,
    window: WINDOW,
    rounds: rates.length,
    samplesPerSecond: round(median(rates)),
    samplesPerSecondMin: round(Math.min(...rates)),
    samplesPerSecondMax: round(Math.max(...rates)),
  };
}
