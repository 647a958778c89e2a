/** Statistics of batches as tables for people. */

import type { ViewCounts } from '../dataset/manifest.ts';
import { KINDS } from '../dataset/select.ts';
import { RECALL_MODES } from '../domain/recall.ts';
import type { BatchStats } from './batch-stats.ts';
import type { Io } from './output.ts';
import type { PaidPart } from './paid-stats.ts';
import { renderViews } from './render-views.ts';
import { renderTable } from './table.ts';

/** A table for each step from functions to rows, then what filters cost and what was paid. */
export function renderStats(stats: BatchStats, { stdout: stream, env }: Io): string {
  const table = (head: string[], rows: (string | number)[][]) =>
    renderTable(head, rows, { stream, env });
  const { recall, views, filters, t1, t2 } = stats;
  const bounds = Object.keys(recall.exact.atLeast).toSorted((a, b) => Number(a) - Number(b));
  const parts = [
    table(['functions', ''], functionRows(stats)),
    table(['samples', ''], sampleRows(stats)),
    table(
      ['verified with recall', ...bounds.map((bound) => `>= ${bound}`), 'no line counts'],
      RECALL_MODES.map((mode) => [
        mode,
        ...bounds.map((bound) => recall[mode].atLeast[bound] ?? 0),
        recall[mode].undefined,
      ]),
    ),
    table(['rows', 'T1', 'T2'], rowRows(stats)),
    ...(views.length === 0 ? [] : [renderViews(views, { stdout: stream, env })]),
    ...(t1.rows + t2.rows === 0
      ? []
      : [table(['these rows with', 'T1', 'T2', 'lost'], filters.map(toFilterRow))]),
    ...(stats.spent.calls === 0
      ? []
      : [table(['paid', 'calls', 'tokens', 'USD'], paidRows(stats))]),
    renderCost(stats),
  ];
  return parts.join('\n');
}

// --- internal ---

function functionRows({ functions }: BatchStats): (string | number)[][] {
  return [
    ['found', functions.found],
    ...Object.entries(functions.notEligible).map(([reason, count]) => [reason, -count]),
    ['eligible', functions.eligible],
    ['planned', functions.planned],
    ['with a verified sample', functions.verified],
    ['in rows', functions.inRows],
  ];
}

function sampleRows({ samples }: BatchStats): (string | number)[][] {
  const { planned, unfinished, verified, unverifiable, held, infrastructure } = samples;
  const reasons = Object.entries({ unverifiable, held, infrastructure }).flatMap(([kind, counts]) =>
    Object.entries(counts)
      .toSorted(([, a], [, b]) => b - a)
      .map(([reason, count]) => [`${kind}:${reason}`, -count]),
  );
  return [
    ['planned', planned],
    ...(unfinished === 0 ? [] : [['unfinished', -unfinished]]),
    ...reasons,
    ['verified', verified],
  ];
}

function rowRows({ samples, t1, t2 }: BatchStats): (string | number)[][] {
  const reasons = [...new Set([...Object.keys(t1.lost), ...Object.keys(t2.lost)])];
  const ended = samples.planned - samples.unfinished;
  return [
    ['samples that ended', ended, ended],
    ...reasons.map((reason) => [reason, ...[t1, t2].map(({ lost }) => -(lost[reason] ?? 0))]),
    ['rows', t1.rows, t2.rows],
    ['replies', t1.replies, t2.replies],
    ['replies trained on', t1.trained, t2.trained],
  ];
}

function toFilterRow(counts: ViewCounts): (string | number)[] {
  const [before, after] = (['in', 'out'] as const).map((of) =>
    KINDS.reduce((total, kind) => total + counts[kind][of], 0),
  );
  const lost = Math.round((100 * (before! - after!)) / before!);
  return [counts.view, counts.t1.out, counts.t2.out, `${lost} %`];
}

function paidRows({ paid, simulated }: BatchStats): (string | number)[][] {
  const { stages, useful, underWay, wasted } = paid;
  const toRow = ([name, part]: [string, PaidPart]) => [
    name,
    part.calls,
    part.inputTokens + part.outputTokens,
    simulated ? 'simulated' : (part.costUsd?.toFixed(4) ?? 'unpriced'),
  ];
  const parts: [string, PaidPart][] = [
    ...Object.entries(stages),
    ['of these: for rows', useful],
    ['for samples under way', underWay],
    ...Object.entries(wasted).map(([reason, part]): [string, PaidPart] => [
      `lost: ${reason}`,
      part,
    ]),
  ];
  return parts.filter(([, { calls }]) => calls > 0).map(toRow);
}

function renderCost({ spent, costPerRowUsd, simulated }: BatchStats): string {
  if (simulated) return 'simulated: nothing was paid\n';
  if (spent.costUsd === null) return `${spent.calls} calls, unpriced\n`;
  const each = costPerRowUsd === null ? '' : `, $${costPerRowUsd.toFixed(4)} a row`;
  return `${spent.calls} calls, $${spent.costUsd.toFixed(2)}${each}, lost and rejected work included\n`;
}
