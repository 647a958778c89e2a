/** The Temporal server: the one of the environment, or an embedded one that is started here and made ready. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { NAMESPACE } from '../domain/ids.ts';
import { SEARCH_ATTRIBUTES } from '../domain/search-attributes.ts';
import { ensureTemporalCli, TEMPORAL_CLI_VERSION } from '../scripts/temporal-cli.mjs';
import {
  connectionOptions,
  isAddress,
  namedReachVariables,
  type ReachOptions,
  type ServerAddress,
} from '../worker/connection.ts';
import { findDaemon, lastDaemon, lastLines, startDaemon } from './daemon.ts';
import { CliError, EXIT } from './errors.ts';
import { prepareNamespace } from './namespace.ts';
import { explainNoConnection, explainRefusal, statusOf } from './reach.ts';

export const SERVER = 'server';
const DEFAULT_PORT = 7233;
/**
 * Of the server's dynamic configuration: batches take turns in one queue, however much of each waits. Still read are the
 * partitions that a server without this has filled.
 */
export const SERVER_VALUES = {
  'matching.enableFairness': true,
  'matching.numTaskqueueWritePartitions': 1,
};
/** The UI's port is this far above the server's. */
const UI_OFFSET = 1000;
const START_MS = 60_000;
const CONNECT_MS = 5_000;
/** Its data file and log begin with less than this. */
const LOW_DISK_MB = 16;
const DATA_FILE = 'temporal.db';

export interface Server extends ServerAddress {
  /** Address of the web UI; undefined for a server that is not ours. */
  ui?: string;
}

/**
 * Where `--temporal` or `TWINPATCH_TEMPORAL` points, else undefined. Throws CliError for what is no address, and for variables
 * that say how to reach a server where none is named.
 */
export function existingServer(
  address: string | undefined,
  variables: Record<string, string | undefined>,
): Server | undefined {
  const chosen = address ?? (variables['TWINPATCH_TEMPORAL'] || undefined);
  if (chosen === undefined) {
    const [stray] = namedReachVariables(variables);
    if (stray === undefined) return undefined;
    throw new CliError(EXIT.usage, `${stray} is set — but no server is named that it is for`, {
      next: `export TWINPATCH_TEMPORAL=HOST:PORT, or unset ${stray} for the embedded server`,
    });
  }
  if (!isAddress(chosen)) {
    const name = address === undefined ? 'TWINPATCH_TEMPORAL' : '--temporal';
    throw new CliError(EXIT.usage, `${name} is ${chosen} — that is no HOST:PORT`, {
      next: 'give host and port of the server alone, like temporal.internal:7233',
    });
  }
  return { address: chosen, namespace: variables['TWINPATCH_NAMESPACE'] || NAMESPACE };
}

/** The embedded server of a workspace, when it runs. */
export function findEmbeddedServer(state: string): Server | undefined {
  const daemon = findDaemon(state, SERVER);
  return daemon && toServer(Number(daemon.facts['port']));
}

/** The port that the embedded server of a workspace had last, else the usual one: addresses people noted stay right. */
export function usualPort(state: string): number {
  return Number(lastDaemon(state, SERVER)?.facts['port'] ?? DEFAULT_PORT);
}

/** Throws CliError unless the embedded server's port and its UI's are free. */
export async function requireFreePorts(port: number): Promise<void> {
  for (const each of [port, port + UI_OFFSET]) {
    if (!(await isFree(each))) {
      const what = `port ${each} is taken by another program`;
      throw new CliError(EXIT.failed, `${what} — the embedded Temporal server needs it`, {
        next: `twinpatch up --port ${port + 100}   (or --temporal HOST:PORT for a server that runs already)`,
      });
    }
  }
}

/** Starts the embedded server, whose ports are free. Throws CliError: data file of another version, no start in time. */
export async function startEmbeddedServer(
  state: string,
  port: number,
  log: (message: string) => void,
): Promise<Server> {
  const program = await ensureTemporalCli(log);
  const child = startDaemon({
    name: SERVER,
    state,
    program,
    arguments: serverArguments(dataFile(state), port),
    facts: { port },
  });
  child.disconnect();
  const server = toServer(port);
  const deadline = performance.now() + START_MS;
  while (!(await answers(server))) {
    if (findDaemon(state, SERVER) === undefined || performance.now() > deadline) {
      const why = (await lastLines(state, SERVER)) || (await silenceOf(state));
      throw new CliError(EXIT.failed, `the embedded Temporal server did not start — ${why}`, {
        next: `look at ${join(state, `${SERVER}.log`)}`,
      });
    }
    await sleep(100);
  }
  return server;
}

/** A client of a server that answers, its namespace, retention and search attributes in order. Throws CliError. */
export async function connectClient(
  server: Server,
  variables: Record<string, string | undefined>,
): Promise<Client> {
  const options = reachOptions(server, variables);
  const connection = await Connection.connect({ ...options, connectTimeout: CONNECT_MS }).catch(
    async (error: unknown) => {
      const { why, next } = await explainNoConnection(options, error);
      throw noServer(server, why, next, error);
    },
  );
  try {
    const client = new Client({ connection, namespace: server.namespace });
    await prepareNamespace(client, { ...server, isOurs: server.ui !== undefined });
    return client;
  } catch (error) {
    await connection.close();
    const { code, details } = statusOf(error);
    if (code === undefined) throw error;
    const { why, next } = explainRefusal(options, error) ?? {
      why: details ?? `gRPC code ${code}`,
      next: "look at the server's log",
    };
    const place = `the Temporal server at ${server.address}`;
    throw new CliError(EXIT.failed, `${place} fails for namespace ${server.namespace} — ${why}`, {
      cause: error,
      next: `${next}; or correct TWINPATCH_NAMESPACE`,
    });
  }
}

// --- internal ---

/** Why a server may end without a word: it can't write its log either. */
async function silenceOf(state: string): Promise<string> {
  const { bavail, bsize } = await statfs(state);
  const freeMb = Math.floor((bavail * bsize) / 1024 ** 2);
  return freeMb < LOW_DISK_MB
    ? `the disk of ${state} is full (${freeMb} MB free)`
    : 'it printed nothing';
}

function reachOptions(server: Server, variables: Record<string, string | undefined>): ReachOptions {
  try {
    return connectionOptions(server, variables);
  } catch (error) {
    throw new CliError(EXIT.usage, error instanceof Error ? error.message : String(error), {
      cause: error,
    });
  }
}

function noServer({ address, ui }: Server, why: string, next: string, cause: unknown): CliError {
  return new CliError(EXIT.failed, `no Temporal server answers at ${address} — ${why}`, {
    cause,
    next: ui === undefined ? next : 'twinpatch down, then twinpatch up',
  });
}

function toServer(port: number): Server {
  return {
    address: `127.0.0.1:${port}`,
    namespace: NAMESPACE,
    ui: `http://127.0.0.1:${port + UI_OFFSET}`,
  };
}

/** The data file; its version stands beside it, because another version's file is not promised to open. */
function dataFile(state: string): string {
  const versionFile = join(state, `${DATA_FILE}.version`);
  const path = join(state, DATA_FILE);
  const written = existsSync(versionFile) ? readFileSync(versionFile, 'utf8').trim() : undefined;
  if (existsSync(path) && written !== undefined && written !== TEMPORAL_CLI_VERSION) {
    throw new CliError(
      EXIT.failed,
      `${path} was written by Temporal CLI ${written} — ${TEMPORAL_CLI_VERSION} may not read it`,
      { next: `move ${path} away and run the command again: batches go on from the store` },
    );
  }
  if (existsSync(state)) writeFileSync(versionFile, `${TEMPORAL_CLI_VERSION}\n`);
  return path;
}

function serverArguments(file: string, port: number): string[] {
  return [
    ...['server', 'start-dev', '--log-level', 'error', '--ip', '127.0.0.1'],
    ...['--port', String(port), '--ui-port', String(port + UI_OFFSET)],
    ...['--db-filename', file, '--namespace', NAMESPACE],
    // Safe against kill -9 of the server; after a power cut the store goes on from its own truth.
    ...['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', 'synchronous=NORMAL'],
    ...Object.entries(SERVER_VALUES).flatMap(([name, value]) => [
      '--dynamic-config-value',
      `${name}=${value}`,
    ]),
    ...Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => [
      '--search-attribute',
      `${name}=${type}`,
    ]),
  ];
}

async function answers(server: Server): Promise<boolean> {
  try {
    const connection = await Connection.connect({ address: server.address, connectTimeout: '2s' });
    await connection.close();
    return true;
  } catch {
    return false;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const probe = createServer()
      .once('error', () => settle(false))
      .listen(port, '127.0.0.1', () => probe.close(() => settle(true)));
  });
}
