/** The progress of a batch as text: a headline, then one line per fact. Pure. */

import type { CapName } from '../domain/budget.ts';
import type { EndpointPulse } from '../domain/store.ts';
import { STAGES } from '../domain/sample.ts';
import type { BatchState } from './batch-state.ts';
import { ACCEPTED_RECALL } from './yield.ts';

const BAR_WIDTH = 24;
const CAP_OPTIONS = {
  costUsd: '--max-cost',
  tokens: '--max-tokens',
  hours: '--max-hours',
} as const satisfies Record<CapName, string>;

/** A headline with time, then bar, stages, cost, and what is waited for. */
export function renderProgress(state: BatchState, elapsedMs: number): string {
  const ended = state.planned - state.unfinished;
  const lines = [
    `${state.batch}: ${state.phase}, ${clock(elapsedMs)}`,
    `${bar(ended, state.planned)} ${ended}/${state.planned} ended: ${renderCounts(state)}`,
  ];
  const stages = STAGES.flatMap((stage) => {
    const samples = state.stages[stage];
    return samples === undefined ? [] : [`${stage} ${samples}`];
  });
  if (stages.length > 0) lines.push(`under way: ${stages.join(', ')}`);
  lines.push(renderSpent(state));
  const projected = renderProjected(state);
  if (projected !== '') lines.push(`projected: ${projected}`);
  const budget = renderBudget(state);
  if (budget !== '') lines.push(`budget: ${budget}`);
  for (const pulse of state.endpoints) lines.push(renderPulse(pulse));
  const tuned = renderTuned(state.tuned);
  if (tuned !== '') lines.push(`tuned: ${tuned}`);
  if (state.phase === 'no worker') lines.push('no worker answers; next: twinpatch up');
  for (const { reason, samples, nextTryAt } of state.waiting) {
    const next =
      nextTryAt === null ? '' : ` (next try ${new Date(nextTryAt).toLocaleTimeString('en-GB')})`;
    lines.push(`waiting (${samples}): ${reason}${next}`);
  }
  return lines.join('\n');
}

/** `verified 7 (5 with recall >= 0.5), unverifiable 1, held 0, infrastructure 0`. */
export function renderCounts({
  verified,
  accepted,
  unverifiable,
  held,
  infrastructure,
}: BatchState): string {
  const parts = [
    `verified ${verified} (${accepted} with recall >= ${ACCEPTED_RECALL})`,
    `unverifiable ${unverifiable}`,
    ...(held > 0 ? [`held ${held}`] : []),
    ...(infrastructure > 0 ? [`infrastructure ${infrastructure}`] : []),
  ];
  return parts.join(', ');
}

/** Tokens and cost; `unpriced` where the model has no known price. */
export function renderSpent({ spent, simulated }: BatchState): string {
  const { inputTokens, cachedInputTokens, outputTokens, costUsd, calls, unpricedCalls } = spent;
  const cost = simulated
    ? 'simulated, nothing is paid'
    : costUsd === null
      ? 'unpriced'
      : `$${costUsd.toFixed(2)}${unpricedCalls > 0 ? ` (${unpricedCalls} calls unpriced)` : ''}`;
  return `${calls} calls, tokens ${short(inputTokens)} in (${short(cachedInputTokens)} cached) / ${short(outputTokens)} out, ${cost}`;
}

/** `$12.40 in all, 3.2 hours more, $0.41 per accepted row`; what is not known is left out. */
export function renderProjected({ projected, simulated, unfinished }: BatchState): string {
  const { costUsd, hoursLeft, perAcceptedUsd } = projected;
  const isPriced = !simulated;
  return [
    ...(costUsd === null || unfinished === 0 || !isPriced ? [] : [`$${costUsd.toFixed(2)} in all`]),
    ...(hoursLeft === null || unfinished === 0 ? [] : [`${hoursLeft.toFixed(1)} hours more`]),
    ...(perAcceptedUsd === null || !isPriced
      ? []
      : [`$${perAcceptedUsd.toFixed(2)} per accepted row`]),
  ].join(', ');
}

/** `host:8000 (glm): 12 calls under way, tokens/s 3.1k in / 340 out`. */
export function renderPulse({
  endpoint,
  model,
  callsUnderWay,
  inputTokensPerSecond,
  outputTokensPerSecond,
}: EndpointPulse): string {
  const [input, output] = [inputTokensPerSecond, outputTokensPerSecond].map(Math.round);
  return `${endpoint} (${model}): ${callsUnderWay} calls under way, tokens/s ${short(input ?? 0)} in / ${short(output ?? 0)} out`;
}

/** `$3.20 of $25.00, 0.4 of 8 hours`: what is used up of the caps that there are. */
export function renderBudget({ spent, budget }: BatchState): string {
  const { maxCostUsd, maxTokens, maxHours } = budget;
  const tokens = spent.inputTokens + spent.outputTokens;
  return [
    ...(maxCostUsd === null
      ? []
      : [`$${(spent.costUsd ?? 0).toFixed(2)} of $${maxCostUsd.toFixed(2)}`]),
    ...(maxTokens === null ? [] : [`${short(tokens)} of ${short(maxTokens)} tokens`]),
    ...(maxHours === null ? [] : [`${spent.hours.toFixed(1)} of ${maxHours} hours`]),
  ].join(', ');
}

/** The option that raises the cap which is reached, or the one that most batches have. */
export function optionOf({ budget }: BatchState): string {
  return CAP_OPTIONS[budget.reached ?? 'costUsd'];
}

/** `window 4, cap $50.00, 3 slots on each worker`; what is not set is left out. */
export function renderTuned({
  window,
  maxCostUsd,
  maxTokens,
  maxHours,
  slots,
}: BatchState['tuned']): string {
  return [
    ...(window === null ? [] : [`window ${window}`]),
    ...(maxCostUsd === null ? [] : [`cap $${maxCostUsd.toFixed(2)}`]),
    ...(maxTokens === null ? [] : [`cap ${short(maxTokens)} tokens`]),
    ...(maxHours === null ? [] : [`cap ${maxHours} hours`]),
    ...(slots === null ? [] : [`${slots} slots on each worker`]),
  ].join(', ');
}

export function clock(elapsedMs: number): string {
  const seconds = Math.floor(elapsedMs / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const rest = `${String(minutes).padStart(hours > 0 ? 2 : 1, '0')}:${String(seconds % 60).padStart(2, '0')}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

// --- internal ---

function bar(done: number, all: number): string {
  const filled = all === 0 ? 0 : Math.round((done / all) * BAR_WIDTH);
  return `${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}`;
}

function short(count: number): string {
  if (count < 1_000) return String(count);
  if (count < 1_000_000) return `${(count / 1e3).toFixed(1)}k`;
  return count < 1e9 ? `${(count / 1e6).toFixed(1)}M` : `${(count / 1e9).toFixed(1)}B`;
}
