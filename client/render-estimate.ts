/** An estimate as lines for people. Pure. */

import type { Band, Estimate } from './estimate.ts';

export function renderEstimate(estimate: Estimate): string[] {
  const { inputTokens, outputTokens, hours, costUsd, accepted, basis } = estimate;
  const facts: [name: string, value: string][] = [
    ['input tokens', `${renderBand(inputTokens, tokens)}, most of them cached`],
    ['output tokens', renderBand(outputTokens, tokens)],
    ['time', `${renderBand(hours, (each) => each.toFixed(1))} hours`],
    ['cost', costUsd === null ? 'unpriced: set teacher.price' : renderBand(costUsd, usd)],
  ];
  if (accepted !== null) facts.push(['accepted', `${renderBand(accepted, String)} samples`]);
  facts.push(['basis', basis]);
  return facts.map(([name, value]) => `${name.padEnd(14)}${value}`);
}

// --- internal ---

function renderBand([low, high]: Band, render: (value: number) => string): string {
  return `${render(low)} to ${render(high)}`;
}

function usd(value: number): string {
  return `$${value.toFixed(2)}`;
}

function tokens(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)}B`;
  return count >= 1e6 ? `${(count / 1e6).toFixed(1)}M` : `${Math.round(count / 1000)}k`;
}
