/** The licences of stored snapshots, each read once and only when one is asked for. */

import { LICENCE_PATHS, licenceOf, type Licence } from '../domain/licence.ts';
import type { Ref } from '../domain/sample.ts';
import type { Store } from '../domain/store.ts';
import { createSnapshotFiles } from '../repository/snapshot-files.ts';

/** Tells the licence of a snapshot. Rejects where the store lacks it. */
export type FindLicence = (snapshot: Ref) => Promise<Licence>;

export function createFindLicence({ blobs }: Pick<Store, 'blobs'>): FindLicence {
  const files = createSnapshotFiles((snapshot) => blobs.stream(snapshot), NOTHING_KEPT);
  const known = new Map<Ref, Promise<Licence>>();
  return (snapshot) => {
    const licence = known.get(snapshot) ?? read(snapshot);
    known.set(snapshot, licence);
    return licence;
  };

  async function read(snapshot: Ref): Promise<Licence> {
    const found = await files.read(snapshot, LICENCE_PATHS);
    const texts = [...found].map(
      ([path, bytes]) =>
        [path, Buffer.from(bytes.subarray(0, MAX_BYTES)).toString('utf8')] as const,
    );
    return licenceOf(new Map(texts));
  }
}

// --- internal ---

/** Each snapshot is read once: its files need not stay in memory. */
const NOTHING_KEPT = 0;
/** Longer ones list what they bundle. */
const MAX_BYTES = 256 * 1024;
