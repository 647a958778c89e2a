/** Verifications in the store: which of a sample's counts now. */

import type { SampleEnd, VerifyResult } from '../domain/sample.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import {
  type SampleVerification,
  type VerificationFacts,
  verifyName,
} from '../domain/verification.ts';
import { sha256 } from '../store/blobs.ts';

/** The one by the batch's settings; until a sample has it, the one that it ended with. Undefined for one that is not verified. */
export async function readVerification(
  store: Store,
  batch: BatchRecord,
  { key: sampleKey, results }: Pick<SampleEnd, 'key' | 'results'>,
): Promise<SampleVerification | undefined> {
  const { 'rollout-1': rollout1, 'rollout-2': rollout2, verify: first } = results;
  if (rollout1 === undefined || rollout2 === undefined || first === undefined) return undefined;
  const name = verifyName({ rollout1, rollout2 }, batch.config.verification, sha256);
  const read = (each: string) =>
    store.ledger.get<VerifyResult>({ batchId: batch.id, sampleKey, name: each });
  const verified = (await read(name)) ?? (await read(first));
  if (verified === undefined) return undefined;
  const { exact, sera, sameImage, facts } = verified;
  return {
    exact,
    sera,
    sameImage,
    ...(await store.blobs.getJson<Partial<VerificationFacts>>(facts)),
  };
}
