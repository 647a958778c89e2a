/** A batch on a real store whose stages do nothing: what is left is what it costs to conduct it. */

import type { Client } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import { createLedgerActivities } from '../../activities/ledger.ts';
import { createFolderStorage } from '../../store/folder-storage.ts';
import { createStore, openStore } from '../../store/open.ts';
import type { Storage } from '../../store/storage.ts';
import { toBatch, toSamples } from './batch-fixture.ts';
import { createFakeBatch, startFakeWorker } from './fake-stages.ts';
import { closedSamples } from '../../worker/closed-samples.ts';

/** Writes the batch into a new store in the folder. */
export async function openStubbedBatch(
  folder: string,
  batchId: string,
  samples: number,
  client: Client,
) {
  const { id, batches } = await openStore(folder);
  await batches.put(toBatch(batchId, id));
  await batches.append(batchId, toSamples(samples));

  const counted = countOperations(createFolderStorage(folder));
  const store = createStore(counted.storage, id, folder);
  const { main, rollouts } = createFakeBatch(0, () => ({}));
  const ledger = createLedgerActivities({
    store,
    closedSamples: (batch, keys) => closedSamples(client, batch, keys),
  });
  return {
    /** Reads, writes and listings so far. */
    operations: counted.operations,
    keys: async () => (await batches.samples(batchId, 0, samples)).map(({ key }) => key),
    startWorkers: (connection: NativeConnection, code: string) =>
      startFakeWorker(
        connection,
        code,
        { main: { ...main, ...ledger }, rollouts },
        { attempts: store.attempts },
      ),
  };
}

// --- internal ---

function countOperations(storage: Storage): { storage: Storage; operations(): number } {
  let operations = 0;
  const counting = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(of, name) {
        const value: unknown = Reflect.get(of, name);
        if (typeof value !== 'function' || name === 'placeOf') return value;
        return (...given: unknown[]) => {
          const result: unknown = Reflect.apply(value, of, given);
          // A log is not an operation; what is done with it is.
          if (name === 'lines' || name === 'log') return counting(result as object);
          operations += 1;
          return result;
        };
      },
    });
  return { storage: counting(storage), operations: () => operations };
}
