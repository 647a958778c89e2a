import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../support/troubled-disk.ts', import.meta.url));

interface Outcome {
  during: Record<string, string>;
  isReadable: boolean;
  after: Record<string, string>;
  leftOver: string[];
  acknowledged: Record<string, number>;
  read: { journal: number; spend: number };
}

/** Runs the script on a small file system that only its own process sees, so that nothing has to be unmounted. */
function onSmallDisk(trouble: 'full' | 'read-only'): Outcome {
  const folder = mkdtempSync(join(tmpdir(), 'twinpatch-disk-'));
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const mountAndRun =
    'mount -t tmpfs -o size=640k none "$1" && exec "$2" --import tsx "$3" "$1" "$4"';
  const printed = execFileSync(
    'unshare',
    [
      ...asRoot,
      '--mount',
      'sh',
      '-c',
      mountAndRun,
      'sh',
      folder,
      process.execPath,
      SCRIPT,
      trouble,
    ],
    { encoding: 'utf8' },
  );
  rmdirSync(folder);
  return JSON.parse(printed) as Outcome;
}

test.each([
  {
    trouble: 'full',
    reason: /^StoreUnavailable: \/.*store.*: the disk of the store is full; free some space/,
  },
  {
    trouble: 'read-only',
    reason:
      /^StoreUnavailable: \/.*store.*: the store is on a read-only file system; make it writable/,
  },
] as const)(
  'a disk that is $trouble is named with what to do, can be read, leaves nothing half-written, and is forgotten once it is mended',
  ({ trouble, reason }) => {
    const { during, isReadable, after, leftOver, acknowledged, read } = onSmallDisk(trouble);
    const operations = ['journal', 'spend', 'end', 'result', 'blob', 'stream'];
    const each = (outcome: unknown) =>
      Object.fromEntries(operations.map((operation) => [operation, outcome]));
    expect(during).toEqual(each(expect.stringMatching(reason)));
    expect(isReadable).toBe(true);
    expect(after).toEqual(each('done'));
    expect(leftOver).toEqual([]);
    expect(acknowledged).toMatchObject(read);
  },
);
