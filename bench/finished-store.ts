/** Makes a store whose one batch is finished, as many workers would have left it; not durably, so that it takes a minute, not hours. */

import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { canonicalJson } from '../domain/ids.ts';
import type { Ref, Sample, SampleEnd, SelfCheckResult } from '../domain/sample.ts';
import { toTotal } from '../domain/spend.ts';
import { batchFolder } from '../store/batches.ts';
import { sampleFolder } from '../store/ledger.ts';
import { openStore } from '../store/open.ts';
import { PATCH, shortTrajectory } from '../test/dataset/fixtures.ts';
import { toBatch, toEnd, toSamples } from '../test/support/batch-fixture.ts';
import { hex, SPENT, toRolloutResult } from '../test/support/fake-results.ts';
import { toSpendLine } from '../test/support/paid-calls.ts';

export const BATCH = 'finished';

const AT_ONCE = 64;
const PAGE = 10_000;
const WORKERS = 4;
/** One sample in so many is verified, and has results that give rows. */
const VERIFIED_EACH = 10;
const CALLS_PER_SAMPLE = 5;

/** Fills a folder with a batch of `samples` that have all ended. */
export async function fillStore(
  folder: string,
  samples: number,
  signal: AbortSignal,
): Promise<void> {
  const store = await openStore(folder);
  await store.batches.put(toBatch(BATCH, store.id));
  const contents: Contents = {
    trajectory: await store.blobs.putJson(shortTrajectory),
    patch: await store.blobs.put(Buffer.from(PATCH)),
  };
  for (const name of ['summary', 'spend']) {
    await mkdir(join(folder, batchFolder(BATCH), name), { recursive: true });
  }
  const limit = pLimit(AT_ONCE);
  let calls = 0;
  for (let from = 0; from < samples; from += PAGE) {
    signal.throwIfAborted();
    const page = toSamples(Math.min(PAGE, samples - from), from);
    await store.batches.append(BATCH, page);
    const ends = page.map(toFinishedEnd);
    await Promise.all(ends.map((end) => limit(() => writeResults(folder, end, contents))));
    const worker = `host-${1 + ((from / PAGE) % WORKERS)}-1.jsonl`;
    await appendLines(join(folder, batchFolder(BATCH), 'summary', worker), ends);
    const paid = Array.from({ length: page.length * CALLS_PER_SAMPLE }, () => toPaidCall(++calls));
    await appendLines(join(folder, batchFolder(BATCH), 'spend', 'host-1-1.jsonl'), paid);
  }
}

// --- internal ---

/** What every rollout has. */
interface Contents {
  trajectory: Ref;
  patch: Ref;
}

const PATCH_SUMMARY = { bytes: PATCH.length, files: 1, countedLines: 2 };

function toFinishedEnd({ key, index }: Sample): SampleEnd {
  const isVerified = index % VERIFIED_EACH === 0;
  const names = ['checkout', 'rollout-1', 'self-check', 'synthetic-pr', 'rollout-2', 'verify'];
  return toEnd(key, {
    verdict: isVerified ? { kind: 'verified' } : { kind: 'unverifiable', reason: 'self-check' },
    ...(isVerified && { recall: { exact: (index % 97) / 97, sera: (index % 89) / 89 } }),
    attempt: 1,
    results: Object.fromEntries(names.map((name) => [name, `${name}.1-${hex(16)}`])),
    spent: SPENT,
    wasted: SPENT,
  });
}

async function writeResults(
  folder: string,
  end: SampleEnd,
  { trajectory, patch }: Contents,
): Promise<void> {
  const at = join(folder, sampleFolder(BATCH, end.key));
  await mkdir(at, { recursive: true });
  const write = (name: string | undefined, result: object) =>
    writeFile(join(at, `${name}.json`), `${canonicalJson(result)}\n`);
  await write('end-1', end);
  if (end.verdict.kind !== 'verified') return;
  for (const rollout of ['rollout-1', 'rollout-2'] as const) {
    const result = toRolloutResult(`${rollout}.1`, `${BATCH}/${end.key}/${rollout}.1`);
    await write(end.results[rollout], {
      ...result,
      trajectory,
      patch: { ...PATCH_SUMMARY, ref: patch },
    });
  }
  const check: SelfCheckResult = { key: `self-check.1-${hex(16)}`, answer: 'yes', spent: SPENT };
  await write(end.results['self-check'], check);
}

/** The nth call that the one worker paid. */
function toPaidCall(calls: number): object {
  const line = toSpendLine(0.25, `${BATCH}/some/rollout-1.1`);
  return { ...line, total: { ...toTotal(line), calls, costUsd: calls / 4 } };
}

async function appendLines(path: string, values: object[]): Promise<void> {
  await appendFile(path, values.map((value) => `${JSON.stringify(value)}\n`).join(''));
}
