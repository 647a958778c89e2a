/** Chooses ended samples by condition and gives each another generation. */

import { renderVerdict } from '../domain/outcome.ts';
import type { Outcome, Store } from '../domain/store.ts';
import { CliError, EXIT } from './errors.ts';

/** Renews the ended samples that meet any of the conditions; returns how many. Throws CliError for a condition that is none. */
export async function renewWhere(
  store: Store,
  batchId: string,
  conditions: string[],
): Promise<number> {
  const tests = conditions.map(parseCondition);
  let renewed = 0;
  for (const outcome of await store.ends.outcomes(batchId)) {
    if (!tests.some((test) => test(outcome))) continue;
    await store.ends.renew(batchId, outcome.key);
    renewed += 1;
  }
  return renewed;
}

// --- internal ---

function parseCondition(text: string): (outcome: Outcome) => boolean {
  const [, field, value] = /^(verdict|sample)=(.+)$/.exec(text) ?? [];
  if (field === 'sample') return ({ key }) => key === value;
  if (field === 'verdict') {
    return ({ verdict }) => renderVerdict(verdict) === value || verdict.kind === value;
  }
  throw new CliError(EXIT.usage, `--where ${text} — expected verdict=VERDICT or sample=KEY`, {
    next: 'twinpatch retry --help',
  });
}
