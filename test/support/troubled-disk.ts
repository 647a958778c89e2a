/**
 * Works with a store on a disk that is full, then has room again, or that is read-only, and prints what happened as JSON. Run
 * with a small file system of its own: `troubled-disk.ts FOLDER full|read-only`.
 */

import { execFileSync } from 'node:child_process';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openStore } from '../../store/open.ts';
import { toEnd } from './batch-fixture.ts';
import { toReply, toSpendLine } from './paid-calls.ts';

const [folder = '', trouble] = process.argv.slice(2);
const store = await openStore(join(folder, 'store'));
const lease = await store.leases.take('b/s/rollout-1.1');
const journal = store.journals.of(lease);
const ballast = join(folder, 'ballast');

const operations: Record<string, () => Promise<unknown>> = {
  journal: () => journal.append(toReply(1)),
  spend: () => store.spend.record('b', toSpendLine(1)),
  end: () => store.ends.record('b', toEnd('000001-aaaaaa')),
  result: () =>
    store.ledger.put({ batchId: 'b', sampleKey: '000001-aaaaaa', name: 'r' }, 'x'.repeat(99_999)),
  blob: () => store.blobs.put(Buffer.alloc(100_000, 1)),
  stream: () => store.blobs.putStream(bytes()),
};

/** Lines acknowledged, by log. */
let acknowledged: Record<string, number> = {};

/** Name and message of what each operation throws; `done` when it goes well. */
async function tryAll(): Promise<Record<string, string>> {
  const outcomes: Record<string, string> = {};
  for (const [name, operation] of Object.entries(operations)) {
    try {
      await operation();
      outcomes[name] = 'done';
      acknowledged[name] = (acknowledged[name] ?? 0) + 1;
    } catch (error) {
      outcomes[name] = String(error);
    }
  }
  return outcomes;
}

if (trouble === 'full') await fill();
else execFileSync('mount', ['-o', 'remount,ro', folder]);
const during = await tryAll();
const isReadable = (await openStore(store.location)).id === store.id;
if (trouble === 'full') await rm(ballast);
else execFileSync('mount', ['-o', 'remount,rw', folder]);
const after = await tryAll();
const leftOver = (await readdir(folder, { recursive: true })).filter((path) =>
  path.includes('.tmp-'),
);
const read = {
  journal: (await journal.open()).length,
  spend: (await store.spend.total('b')).calls,
};
console.log(JSON.stringify({ during, isReadable, after, leftOver, acknowledged, read }));
process.exit(0);

async function fill(): Promise<void> {
  await journal.append(toReply(1));
  await store.spend.record('b', toSpendLine(1));
  acknowledged = { journal: 1, spend: 1 };
  for (let size = 64 * 1024; size >= 1; size = Math.floor(size / 4)) {
    for (;;) {
      try {
        await writeFile(ballast, Buffer.alloc(size), { flag: 'a' });
      } catch {
        break;
      }
    }
  }
  // Now what is left of the blocks of the logs themselves.
  while (Object.values(await tryAll()).includes('done'));
}

async function* bytes(): AsyncGenerator<Uint8Array> {
  for (let piece = 0; piece < 20; piece += 1) yield Buffer.alloc(10_000, 2);
}
