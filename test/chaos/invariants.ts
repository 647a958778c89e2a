/** What must hold of a batch whatever was done to it, read from its store alone. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RolloutResult } from '../../domain/sample.ts';
import type { Store } from '../../domain/store.ts';
import type { Product } from '../support/product.ts';

export interface Findings {
  /** Samples without a verdict. */
  lost: number;
  /** Samples with more than one, and rollouts with more than one result. */
  doubled: number;
  /** Requests of rollouts whose reply was bought once more: the one before was on its way, or came after the last saved tree. */
  repliesRebought: number;
  /** Tool calls that a rollout observed twice. */
  commandsRerun: number;
  /** Rollouts that went on from a saved tree. */
  restored: number;
}

export async function examine(store: Store, batch: string, samples: number): Promise<Findings> {
  const ended = new Set([...(await store.ends.outcomes(batch))].map(({ key }) => key));
  const findings: Findings = {
    lost: 0,
    doubled: 0,
    repliesRebought: 0,
    commandsRerun: 0,
    restored: 0,
  };
  for (const { key: sampleKey } of await store.batches.samples(batch, 0, samples)) {
    const names = await store.ledger.names(batch, sampleKey);
    const verdicts = names.filter((name) => name.startsWith('end-')).length;
    if (verdicts === 0 || !ended.has(sampleKey)) findings.lost += 1;
    if (verdicts > 1) findings.doubled += 1;
    const results = names.filter((name) => name.startsWith('rollout-'));
    const rollouts = new Set(results.map((name) => name.slice(0, name.lastIndexOf('-'))));
    findings.doubled += results.length - rollouts.size;
    for (const name of results) {
      const result = await store.ledger.get<RolloutResult>({ batchId: batch, sampleKey, name });
      if (result === undefined) continue;
      const entries = await store.journals.read(result.journal);
      const count = (kind: string) => entries.filter((entry) => entry.kind === kind).length;
      findings.repliesRebought += count('sent') - count('reply');
      if (entries.some((entry) => entry.kind === 'mark' && entry.mark === 'restored')) {
        findings.restored += 1;
      }
      const observed = entries.flatMap((entry) => (entry.kind === 'observation' ? [entry.id] : []));
      findings.commandsRerun += observed.length - new Set(observed).size;
    }
  }
  return findings;
}

/** Calls that were paid for. */
export async function paidCalls(store: Store, batch: string): Promise<number> {
  return (await store.spend.total(batch)).calls;
}

/** Rows without the ids of the prepared images, of which each store has its own. */
export async function rowsOf(product: Product, batch: string): Promise<string> {
  const out = `rows-${batch}`;
  const { code, stderr } = await product.run(['export', batch, '--out', out, '--check']);
  if (code !== 0) throw new Error(`the export of ${batch} ended with code ${code}: ${stderr}`);
  return ['t1', 't2']
    .map((name) => readFileSync(join(product.folder, out, `${name}.SIMULATED.jsonl`), 'utf8'))
    .join('\n')
    .replaceAll(/"imageId":"sha256:[0-9a-f]{64}",/g, '');
}
