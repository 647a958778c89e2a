import { expect, test } from 'vitest';
import type { SpendLine } from '../../domain/spend.ts';
import { type EndOfSpend, summarizeSpend } from '../../domain/spend-summary.ts';
import { toSpendLine } from '../support/paid-calls.ts';

const key = (index: number) => `00000${index}-aaaaaa`;
/** A call of a second for $1 in sample `index`. */
const line = (index: number, name: string, step = 1, costUsd: number | null = 1): SpendLine => {
  const scope = `b/${key(index)}/${name}`;
  const call = { scope, step, try: 1 };
  return toSpendLine(costUsd, scope, { call, durationMs: 1000 });
};
const verified = (index: number, recall: number, more: Partial<EndOfSpend> = {}): EndOfSpend => ({
  batch: 'b',
  key: key(index),
  generation: 1,
  verdict: { kind: 'verified' },
  recall: { exact: recall, sera: recall },
  attempt: 1,
  ...more,
});

async function costsOf(lines: SpendLine[], ends: EndOfSpend[]) {
  const summary = await summarizeSpend(lines, ends, 0.5);
  const wasted = [...summary.wasted].map(([reason, { costUsd }]) => [reason, costUsd]);
  return { useful: summary.useful.costUsd, underWay: summary.underWay.costUsd, wasted };
}

test('says what each stage took, in the order of the stages', async () => {
  const lines = [
    line(1, 'rollout-2.1'),
    line(1, 'rollout-1.1'),
    line(1, 'rollout-1.1', 2, null),
    line(1, 'synthetic-pr.1-aa.1'),
    line(1, 'self-check.1-aa'),
  ];
  const { stages, all } = await summarizeSpend(lines, [], 0.5);
  expect([...stages.keys()]).toEqual(['rollout-1', 'self-check', 'synthetic-pr', 'rollout-2']);
  expect(stages.get('rollout-1')).toEqual({
    calls: 2,
    unpricedCalls: 1,
    usage: { inputTokens: 200, cachedInputTokens: 0, outputTokens: 20, reasoningTokens: 0 },
    costUsd: 1,
    seconds: 2,
  });
  expect(all).toMatchObject({ calls: 5, costUsd: 4, seconds: 5 });
});

test('what was paid for rows is useful, for samples without a verdict is under way, and the rest has a reason', async () => {
  const lines = [
    line(1, 'rollout-1.1'),
    line(1, 'rollout-2.1'),
    line(2, 'rollout-1.1'),
    line(3, 'rollout-1.1'),
    line(3, 'rollout-1.2'),
    line(3, 'rollout-1.3'),
    line(4, 'rollout-1.1'),
    line(4, 'rollout-1.2'),
    line(5, 'rollout-1.1'),
  ];
  const ends: EndOfSpend[] = [
    verified(1, 0.8),
    {
      batch: 'b',
      key: key(3),
      generation: 1,
      verdict: { kind: 'unverifiable', reason: 'self-check' },
    },
    verified(4, 0.8, { attempt: 2 }),
    { batch: 'b', key: key(5), generation: 1, verdict: { kind: 'held', class: 'budget' } },
  ];
  expect(await costsOf(lines, ends)).toEqual({
    useful: 3,
    underWay: 2,
    wasted: [
      ['unverifiable:self-check', 3],
      ['rejected attempt', 1],
    ],
  });
});

test('a rollout 2 of little recall is wasted, with its pull request; rollout 1 gives its row', async () => {
  const lines = [line(1, 'rollout-1.1'), line(1, 'synthetic-pr.1-aa.1'), line(1, 'rollout-2.1')];
  expect(await costsOf(lines, [verified(1, 0.49)])).toEqual({
    useful: 1,
    underWay: 0,
    wasted: [['recall < 0.5', 2]],
  });
});

test('a step that is paid twice was bought again once', async () => {
  const lines = [line(1, 'rollout-1.1'), line(1, 'rollout-1.1', 200), line(1, 'rollout-1.1', 200)];
  expect(await costsOf(lines, [verified(1, 1)])).toMatchObject({
    useful: 2,
    wasted: [['bought again', 1]],
  });
});

test('what a retry replaced is wasted, and its new work is under way until it ends', async () => {
  const lines = [line(1, 'rollout-1.1'), line(1, 'rollout-1.1.g2'), line(1, 'self-check.1-aa.g2')];
  expect(await costsOf(lines, [verified(1, 1)])).toMatchObject({ useful: 1, underWay: 2 });
  expect(await costsOf(lines, [verified(1, 1, { generation: 2 })])).toMatchObject({
    useful: 2,
    underWay: 0,
    wasted: [['replaced by a retry', 1]],
  });
});
