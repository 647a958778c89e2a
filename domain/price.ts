/** What tokens cost. */

import type { Price } from './teacher-config.ts';
import type { Usage } from './trajectory.ts';

/**
 * USD of one call; null ("unpriced") where the price is not known, and where the endpoint did not say what it used: an estimate
 * is good enough for limits, not for a bill.
 */
export function costOf(usage: Usage | undefined, price: Price | undefined): number | null {
  return usage === undefined || price === undefined ? null : priceOf(usage, price);
}

/** Whether the cost of every call can be known; that of a simulated teacher is none. */
export function hasPrices({ price, endpoints }: Priced & { endpoints: Priced[] }): boolean {
  return price !== undefined || endpoints.every((endpoint) => endpoint.price !== undefined);
}

/** USD of these tokens at this price. */
export function priceOf(usage: Usage, { input, cachedInput = input, output }: Price): number {
  const fresh = usage.inputTokens - usage.cachedInputTokens;
  const perMillion =
    fresh * input + usage.cachedInputTokens * cachedInput + usage.outputTokens * output;
  return perMillion / 1e6;
}

/** USD that a call counts for under a cap: where it is unpriced only because its usage is an estimate, by that. */
export function cappedCostOf(call: {
  usage: Usage;
  costUsd: number | null;
  price?: Price | null;
}): number {
  const { usage, costUsd, price } = call;
  return costUsd ?? (price == null ? 0 : priceOf(usage, price));
}

// --- internal ---

interface Priced {
  price?: Price | undefined;
}
