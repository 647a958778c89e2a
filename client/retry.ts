/** Chooses ended samples by condition: those that start again from the start, and those that failed and go on. */

import { type FailedChoice, isContentVerdict, reasonOf, renderVerdict } from '../domain/outcome.ts';
import type { Outcome, Store } from '../domain/store.ts';
import { CliError, EXIT } from './errors.ts';

/** Gives the ended samples that meet any of the conditions another generation; returns how many. Throws CliError for a condition that is none. */
export async function renewWhere(
  store: Store,
  batchId: string,
  conditions: string[],
): Promise<number> {
  const meets = parseConditions(conditions);
  let renewed = 0;
  for (const outcome of await store.ends.outcomes(batchId)) {
    if (!meets(outcome)) continue;
    await store.ends.renew(batchId, outcome.key);
    renewed += 1;
  }
  return renewed;
}

/** Samples that failed and meet any of the conditions, all where there are none; and how many. Throws CliError for a condition that is none. */
export async function chooseFailed(
  store: Store,
  batchId: string,
  conditions: string[],
): Promise<FailedChoice & { count: number }> {
  const byKey = parseConditions(conditions.filter(isOfKey));
  const byVerdict = parseConditions(conditions.filter((text) => !isOfKey(text)));
  const verdicts = new Set<string>();
  const keys: string[] = [];
  let count = 0;
  for (const outcome of await store.ends.outcomes(batchId)) {
    if (isContentVerdict(outcome.verdict)) continue;
    if (conditions.length === 0 || byVerdict(outcome)) verdicts.add(renderVerdict(outcome.verdict));
    else if (byKey(outcome)) keys.push(outcome.key);
    else continue;
    count += 1;
  }
  return { verdicts: [...verdicts], keys, count };
}

// --- internal ---

const isOfKey = (condition: string) => condition.startsWith('sample=');

function parseConditions(conditions: string[]): (outcome: Outcome) => boolean {
  const tests = conditions.map(parseCondition);
  return (outcome) => tests.some((test) => test(outcome));
}

function parseCondition(text: string): (outcome: Outcome) => boolean {
  const [, field, value] = /^(verdict|reason|sample)=(.+)$/.exec(text) ?? [];
  switch (field) {
    case 'sample':
      return ({ key }) => key === value;
    case 'reason':
      return ({ verdict }) => reasonOf(verdict) === value;
    case 'verdict':
      return ({ verdict }) => renderVerdict(verdict) === value || verdict.kind === value;
    default:
      throw new CliError(
        EXIT.usage,
        `--where ${text} — expected verdict=VERDICT, reason=REASON or sample=KEY`,
        { next: 'twinpatch retry --help' },
      );
  }
}
