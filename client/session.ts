/** What commands about existing batches start from: the store, the batch they mean, the server where one runs. */

import type { Client } from '@temporalio/client';
import { isPreview } from '../domain/ids.ts';
import { type BatchRecord, type Store, StoreMissing } from '../domain/store.ts';
import { openStore } from '../store/open.ts';
import { CliError, EXIT } from './errors.ts';
import { findNamedStore } from './load-config.ts';
import { findRunning, type ServerOptions } from './launch.ts';
import type { Io } from './output.ts';
import { defaultStore, type Workspace, workspaceOf } from './workspace.ts';

export interface SessionOptions extends ServerOptions {
  /** Location of the store. */
  store?: string | undefined;
}

export interface Session {
  store: Store;
  workspace: Workspace;
}

/**
 * The store that a command means. One is only made with `make`, because what lies below a folder with a store means that store.
 * Throws CliError where there is none.
 */
export async function openSession(
  io: Io,
  { store }: SessionOptions,
  { make = false } = {},
): Promise<Session> {
  const workspace = workspaceOf(
    store ?? defaultStore(io.cwd, io.env, await findNamedStore(io.cwd)),
  );
  try {
    return { store: await openStore(workspace.store, { make }), workspace };
  } catch (error) {
    if (!(error instanceof StoreMissing)) throw error;
    throw new CliError(EXIT.failed, `${error.message} — nothing has been run here`, {
      cause: error,
      next: 'twinpatch run, or --store for one that is elsewhere',
    });
  }
}

/** The batch of that name; without one, the only batch of the store that is no preview, or its only preview. Throws CliError. */
export async function requireBatch(store: Store, name: string | undefined): Promise<BatchRecord> {
  const names = await store.batches.list();
  const chosen = name ?? onlyOne(names.filter((each) => !isPreview(each))) ?? onlyOne(names);
  const batch = chosen === undefined ? undefined : await store.batches.get(chosen);
  if (batch !== undefined) return batch;
  const known = names.length === 0 ? 'it has none' : `it has ${names.slice(0, 10).join(', ')}`;
  const what = name === undefined ? 'which batch?' : `no batch ${name}`;
  throw new CliError(
    name === undefined ? EXIT.usage : EXIT.failed,
    `${what} — store ${store.location}: ${known}`,
    {
      next: names.length === 0 ? 'twinpatch run' : 'twinpatch status',
    },
  );
}

/** The batches of those names, each once; without any, the only batch of the store. Throws CliError. */
export async function requireBatches(store: Store, names: string[]): Promise<BatchRecord[]> {
  if (names.length === 0) return [await requireBatch(store, undefined)];
  return Promise.all([...new Set(names)].map((name) => requireBatch(store, name)));
}

/** A client of the server that runs for this store. Throws CliError when none does. */
export async function requireClient(workspace: Workspace, options: ServerOptions): Promise<Client> {
  const running = await findRunning(workspace, options);
  if (running !== undefined) return running.client;
  throw noServer();
}

/** A client where a server answers, else why there is none; commands that read the store do without. Throws CliError for wrong usage. */
export async function clientIfRunning(
  workspace: Workspace,
  options: ServerOptions,
): Promise<{ client?: Client; trouble?: CliError }> {
  try {
    const running = await findRunning(workspace, options);
    return running === undefined ? { trouble: noServer() } : { client: running.client };
  } catch (error) {
    if (error instanceof CliError && error.exitCode !== EXIT.usage) return { trouble: error };
    throw error;
  }
}

// --- internal ---

function onlyOne(names: string[]): string | undefined {
  return names.length === 1 ? names[0] : undefined;
}

function noServer(): CliError {
  return new CliError(EXIT.failed, 'no Temporal server runs for this store', {
    next: 'twinpatch up',
  });
}
