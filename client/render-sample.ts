/** A sample as text for a terminal. Everything in it came from a model or a repository, and is made safe to show. */

import type { Turn } from '../domain/trajectory.ts';
import { renderFacts } from './render-facts.ts';
import { sanitize } from './output.ts';
import type { RolloutView, SampleView } from './sample-view.ts';

/** Longer texts are cut in this view; `--json` has them whole. */
const MAX_CHARS = 4_000;

/** Headings and facts; with `steps`, every turn of both rollouts. */
export function renderSampleView(view: SampleView, options: { steps: boolean }): string {
  const { sample } = view;
  const parts = [
    `${view.batch}/${sample.key}`,
    `function   ${sample.target.name} in ${sample.target.file}:${sample.target.startLine}-${sample.target.endLine} (${sample.target.language})`,
    `commit     ${sample.commit}`,
    `verdict    ${view.verdict ?? 'unfinished'}: ${view.reason}`,
  ];
  parts.push(...view.warnings.map((warning) => `warning    ${warning}`));
  if (view.recall !== null) {
    const { matched, targetLines, producedLines, precision } = view.recall;
    parts.push(
      `lines      ${matched} of ${targetLines} target lines found, ${producedLines} produced, precision ${precision?.toFixed(2) ?? 'undefined'}`,
    );
  }
  if (view.facts !== null) parts.push(...renderFacts(view.facts));
  if (view.selfCheck !== null) parts.push(`self-check ${view.selfCheck}`);
  if (view.rollout1 !== null)
    parts.push(...renderRollout('rollout 1', view.rollout1, options.steps));
  if (view.pr !== null) {
    parts.push('', `--- synthetic PR (leak ${view.pr.leak.toFixed(2)})`, clip(view.pr.text));
  }
  if (view.rollout2 !== null)
    parts.push(...renderRollout('rollout 2', view.rollout2, options.steps));
  return sanitize(parts.join('\n'));
}

// --- internal ---

function renderRollout(title: string, rollout: RolloutView, steps: boolean): string[] {
  const cost = rollout.simulated
    ? 'simulated'
    : rollout.costUsd === null
      ? 'unpriced'
      : `$${rollout.costUsd.toFixed(4)}`;
  return [
    '',
    `--- ${title}: ${rollout.status}, ${rollout.steps} steps, ${(rollout.wallMs / 1000).toFixed(1)} s, ${rollout.model}, ${cost}`,
    ...(steps ? rollout.turns.slice(1).map(renderTurn) : []),
    rollout.patch === null ? '(no change)' : clip(rollout.patch),
  ];
}

function renderTurn(turn: Turn): string {
  switch (turn.role) {
    case 'system':
    case 'user':
      return `[${turn.role}]\n${clip(turn.content)}\n`;
    case 'tool':
      return `[result]\n${clip(turn.content)}\n`;
    case 'assistant': {
      const calls = (turn.toolCalls ?? []).map((call) => `> ${call.name} ${clip(call.arguments)}`);
      const thought = turn.reasoning ? [`(thinks) ${clip(turn.reasoning)}`] : [];
      const mark = turn.malformed === true ? '[assistant, refused]' : '[assistant]';
      return [mark, ...thought, ...(turn.content ? [clip(turn.content)] : []), ...calls, ''].join(
        '\n',
      );
    }
  }
}

function clip(text: string): string {
  return text.length <= MAX_CHARS
    ? text
    : `${text.slice(0, MAX_CHARS)}\n… ${text.length - MAX_CHARS} characters more (--json has all)`;
}
