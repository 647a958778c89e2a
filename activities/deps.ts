/** What the activities need from the world; `worker/` builds it, tests hand in fakes. */

import type { BatchConfig } from '../domain/config.ts';
import type { Hash } from '../domain/ids.ts';
import type { Images, Sandboxes, SnapshotFiles, Teacher } from '../domain/ports.ts';
import type { Ref, Waiting } from '../domain/sample.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import type { PatchJudgement } from '../domain/verification.ts';
import type { SavingLimits } from './saved-trees.ts';

export interface MainDeps {
  store: Store;
  hash: Hash;
  /** The batch's teacher; every reply it returns is in the spend ledger. */
  teacherFor(batch: BatchRecord): Promise<Teacher>;
  /** What a sample's call to the teacher waits for just now. */
  waitingFor(batchId: string, sampleKey: string): Waiting | undefined;
  snapshots: SnapshotFiles;
  /** Those of these samples whose workflow has closed, or was never there. */
  closedSamples(batchId: string, keys: string[]): Promise<string[]>;
}

export interface RolloutDeps extends Pick<
  MainDeps,
  'store' | 'hash' | 'teacherFor' | 'waitingFor' | 'snapshots'
> {
  images: Images;
  sandboxes: Sandboxes;
  /** Whether a patch fits a snapshot, and what it makes can be parsed. */
  judgePatch(snapshot: Ref, patch: string): Promise<PatchJudgement>;
  saving: SavingLimits;
}

/** Sandbox limits of a batch. */
export function limitsOf(environment: BatchConfig['environment']) {
  const { memoryBytes, cpus, maxProcesses, maxFileBytes, maxDiskBytes, maxDiskFiles } = environment;
  return { memoryBytes, cpus, maxProcesses, maxFileBytes, maxDiskBytes, maxDiskFiles };
}
