/** What a call costs. */

import type { BatchConfig } from '../domain/config.ts';
import type { Usage } from '../domain/trajectory.ts';

export type Price = NonNullable<BatchConfig['teacher']['price']>;

/**
 * USD of one call; null ("unpriced") where the price is not known, and where the endpoint did not say what it used: an estimate
 * is good enough for limits, not for a bill.
 */
export function costOf(usage: Usage | undefined, price: Price | undefined): number | null {
  if (usage === undefined || price === undefined) return null;
  const fresh = usage.inputTokens - usage.cachedInputTokens;
  const perMillion =
    fresh * price.input +
    usage.cachedInputTokens * (price.cachedInput ?? price.input) +
    usage.outputTokens * price.output;
  return perMillion / 1e6;
}
