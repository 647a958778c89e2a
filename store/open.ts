/** Opens a store in a folder or a bucket, and makes it when there is none. */

import { randomBytes } from 'node:crypto';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Store, StoreCorrupt, StoreMissing, StoreUnavailable } from '../domain/store.ts';
import { createAttempts } from './attempts.ts';
import { createBatches } from './batches.ts';
import { createBlobs } from './blobs.ts';
import { createBucketStorage } from './bucket-storage.ts';
import { openBucket } from './bucket.ts';
import { createClaims } from './claims.ts';
import { createEnds } from './ends.ts';
import { createFolderStorage } from './folder-storage.ts';
import { createSharedImages } from './images.ts';
import { createJournals } from './journals.ts';
import { createLeases } from './leases.ts';
import { createLedger } from './ledger.ts';
import { isBucket } from '../domain/location.ts';
import { createPresence } from './presence.ts';
import { createPulses } from './pulses.ts';
import { createShares } from './shares.ts';
import { createSpend } from './spend.ts';
import type { CopyLimits } from './spool.ts';
import type { Storage } from './storage.ts';
import { createTunings } from './tunings.ts';

const FORMAT_VERSION = 1;
const COPY_LIMITS: CopyLimits = { everyLines: 15, everyMs: 10_000 };

export interface StoreOptions {
  /** Of a bucket: how soon others see what this host's rollouts do. */
  copying?: CopyLimits;
  /** Whether one is made where there is none; it is by default. */
  make?: boolean;
  /** What this user keeps on this host; `~/.cache/twinpatch` by default. */
  cacheFolder?: string;
}

/**
 * `location` is a folder, or `s3://bucket/prefix`. Throws StoreCorrupt for a store of another format version, StoreUnavailable
 * when it can't be used, StoreMissing when there is none and none is to be made.
 */
export async function openStore(
  location: string,
  { copying = COPY_LIMITS, make = true, cacheFolder = defaultCacheFolder() }: StoreOptions = {},
): Promise<Store> {
  if (!isBucket(location)) {
    const root = resolve(location);
    const storage = createFolderStorage(root);
    return createStore(storage, await identify(storage, make), root);
  }
  const bucket = await openBucket(location);
  const id = await identify(
    {
      placeOf: (path) => `${bucket.location}/${path}`,
      location: bucket.location,
      writeOnce: (path, content) => bucket.putOnce(path, content),
      read: (path) => bucket.get(path),
    },
    make,
  );
  const spool = join(cacheFolder, 'stores', id);
  return createStore(createBucketStorage(bucket, spool, copying), id, spool);
}

/** The store that a storage keeps. `hostFolder` is for what concerns processes of this host alone. */
export function createStore(storage: Storage, id: string, hostFolder: string): Store {
  const blobs = createBlobs(storage);
  const ledger = createLedger(storage);
  const batches = createBatches(storage);
  const spend = createSpend(storage);
  return {
    id,
    location: storage.location,
    blobs,
    batches,
    ledger,
    leases: createLeases(storage, createPresence(storage)),
    journals: createJournals(storage, blobs),
    ends: createEnds(storage, ledger, batches),
    spend,
    claims: createClaims(storage, spend),
    pulses: createPulses(storage),
    tunings: createTunings(storage),
    shares: createShares(storage),
    images: createSharedImages(storage, blobs),
    attempts: createAttempts(join(hostFolder, 'attempts')),
    tidy: () => storage.tidy(),
    close: () => storage.close(),
  };
}

// --- internal ---

function defaultCacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'twinpatch');
}

async function identify(
  storage: Pick<Storage, 'location' | 'placeOf' | 'writeOnce' | 'read'>,
  make: boolean,
): Promise<string> {
  const path = 'store.json';
  // Read first: what is on a disk that is full or read-only can still be shown and exported.
  const text = await storage
    .read(path)
    .then((known) => {
      if (known === undefined && !make) throw new StoreMissing(`no store at ${storage.location}`);
      return known ?? makeIdentity(storage, path);
    })
    .then(String)
    .catch((error: unknown) => {
      if (error instanceof StoreUnavailable || error instanceof StoreMissing) throw error;
      const { message } = error as Error;
      throw new StoreUnavailable(
        `${storage.location} can't be a store (${message}); name another folder`,
        { cause: error },
      );
    });
  let found: { id?: unknown; formatVersion?: unknown };
  try {
    found = JSON.parse(text) as typeof found;
  } catch (error) {
    throw new StoreCorrupt(`${storage.placeOf(path)}: not JSON; restore it from a copy`, {
      cause: error,
    });
  }
  if (found.formatVersion !== FORMAT_VERSION || typeof found.id !== 'string') {
    throw new StoreCorrupt(
      `${storage.placeOf(path)}: format ${String(found.formatVersion)} was written by another version of twinpatch; use that version`,
    );
  }
  return found.id;
}

/** What is there then: of several processes at once, the first one's. */
async function makeIdentity(
  storage: Pick<Storage, 'location' | 'writeOnce' | 'read'>,
  path: string,
): Promise<Buffer | string> {
  const fresh = { id: randomBytes(6).toString('hex'), formatVersion: FORMAT_VERSION };
  const write = () => storage.writeOnce(path, `${JSON.stringify(fresh)}\n`);
  if ((await write()) && (await write())) {
    throw new StoreUnavailable(
      `${storage.location} can't be a store: it writes over what must be written once (If-None-Match is ignored); use another storage`,
    );
  }
  return (await storage.read(path)) ?? '';
}
