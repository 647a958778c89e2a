/** Verifies a batch anew and waits for the end; Ctrl-C turns away from it, and it goes on. */

import { type Client, WorkflowFailedError } from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchConfig } from '../domain/config.ts';
import { canonicalJson } from '../domain/ids.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import { exclusively } from '../scripts/cache.mjs';
import { type VerifyProgress, verifyProgressQuery } from '../workflows/messages.ts';
import { CliError, EXIT, isServerGone } from './errors.ts';
import { startVerify } from './launch.ts';
import { changeVerification } from './load-config.ts';

const LOOK_EVERY_MS = 500;

/** What became of the samples of a batch. */
export interface Verified extends Pick<VerifyProgress, 'verified' | 'known' | 'failed'> {
  batch: string;
  /** Samples without two rollouts to compare. */
  skipped: number;
  /** Why samples can't be verified, the first ones. */
  reasons: string[];
}

/** The batch with other verification settings, in the store before it is returned. Throws CliError. */
export async function setVerification(
  store: Store,
  batch: BatchRecord,
  sets: string[],
  notify: (line: string) => void,
): Promise<BatchRecord> {
  return exclusively(`batch-${store.id}-${batch.id}`, notify, async () => {
    const known = (await store.batches.get(batch.id)) ?? batch;
    const verification = changeVerification(known.config.verification, sets);
    if (isSame(verification, known.config.verification)) return known;
    const changed = { ...known, config: { ...known.config, verification } };
    await store.batches.put(changed);
    return changed;
  });
}

/**
 * Verifies what the store lacks, on the workers; undefined when `signal` aborts, and the verification goes on. Throws CliError when
 * the server stays away.
 */
export async function verifyBatch(
  client: Client,
  batch: BatchRecord,
  notify: (line: string) => void,
  signal: AbortSignal,
): Promise<Verified | undefined> {
  try {
    const handle = await startVerify(client, batch);
    const ending = handle.result();
    ending.catch(() => undefined);
    const aborted = new Promise<undefined>((settle) => {
      signal.addEventListener('abort', () => settle(undefined), { once: true });
    });
    for (let shown = ''; ;) {
      const news = await Promise.race([ending, aborted, sleep(LOOK_EVERY_MS, 'look' as const)]);
      if (news === undefined) return undefined;
      if (news !== 'look') return toVerified(batch, news);
      // Where no worker answers there is nothing to show, and the end is still waited for.
      const asked = handle.query(verifyProgressQuery).catch(() => 'unknown' as const);
      const progress = await Promise.race([asked, ending, aborted]);
      if (progress === undefined) return undefined;
      if (progress === 'unknown') continue;
      const line = `${batch.id}: ${progress.next} of ${progress.planned} looked at, ${progress.verified} verified anew`;
      if (line !== shown && progress.planned > 0) notify(line);
      shown = line;
    }
  } catch (error) {
    if (error instanceof WorkflowFailedError) {
      throw new CliError(
        EXIT.failed,
        `the verification of ${batch.id} was ended — begun anew elsewhere, or from the server's UI; what is verified is in the store`,
        { cause: error, next: `twinpatch verify ${batch.id}` },
      );
    }
    if (!isServerGone(error)) throw error;
    throw new CliError(
      EXIT.failed,
      `the Temporal server does not answer any more — what is verified of ${batch.id} is in the store`,
      { cause: error, next: `twinpatch verify ${batch.id}` },
    );
  }
}

// --- internal ---

function isSame(a: BatchConfig['verification'], b: BatchConfig['verification']): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

function toVerified({ id }: BatchRecord, progress: VerifyProgress): Verified {
  const { planned, verified, known, failed, reasons } = progress;
  return {
    batch: id,
    verified,
    known,
    failed,
    skipped: planned - verified - known - failed,
    reasons,
  };
}
