/** Opens a store in a folder, and makes it when there is none. */

import { randomBytes } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import { type Store, StoreCorrupt, StoreUnavailable } from '../domain/store.ts';
import { createAttempts } from './attempts.ts';
import { createBatches } from './batches.ts';
import { createBlobs } from './blobs.ts';
import { createEnds } from './ends.ts';
import { readIfThere, writeOnce } from './files.ts';
import { createJournals } from './journals.ts';
import { createLeases } from './leases.ts';
import { createLedger } from './ledger.ts';
import { createSpend } from './spend.ts';

const FORMAT_VERSION = 1;

/** Throws StoreCorrupt for a store of another format version, StoreUnavailable when the folder can't be used. */
export async function openStore(folder: string): Promise<Store> {
  const root = resolve(folder);
  const id = await identify(join(root, 'store.json'));
  const batches = join(root, 'batches');
  const leases = join(root, 'leases');
  const blobs = createBlobs(join(root, 'blobs'));
  const ledger = createLedger(batches);
  return {
    id,
    location: root,
    blobs,
    batches: createBatches(batches),
    ledger,
    leases: createLeases(leases),
    journals: createJournals(leases, blobs),
    ends: createEnds(batches, ledger),
    spend: createSpend(batches),
    attempts: createAttempts(join(root, 'attempts')),
  };
}

// --- internal ---

async function identify(path: string): Promise<string> {
  const fresh = { id: randomBytes(6).toString('hex'), formatVersion: FORMAT_VERSION };
  await writeOnce(path, `${JSON.stringify(fresh)}\n`).catch((error: unknown) => {
    if (error instanceof StoreUnavailable) throw error;
    const { message } = error as Error;
    throw new StoreUnavailable(
      `${dirname(path)} can't be a store (${message}); name another folder`,
      { cause: error },
    );
  });
  const text = (await readIfThere(path))?.toString() ?? '';
  let found: { id?: unknown; formatVersion?: unknown };
  try {
    found = JSON.parse(text) as typeof found;
  } catch (error) {
    throw new StoreCorrupt(`${path}: not JSON; restore it from a copy`, { cause: error });
  }
  if (found.formatVersion !== FORMAT_VERSION || typeof found.id !== 'string') {
    throw new StoreCorrupt(
      `${path}: format ${String(found.formatVersion)} was written by another version of twinpatch; use that version`,
    );
  }
  return found.id;
}
