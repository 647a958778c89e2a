import { expect, test } from 'vitest';
import type { BatchState } from '../../client/batch-state.ts';
import { renderProgress } from '../../client/render-progress.ts';

test('what samples wait for is told with the time of the next try, where that is known', () => {
  const state: BatchState = {
    batch: 'b',
    repository: 'r',
    simulated: false,
    tuned: { window: null, maxCostUsd: null, maxTokens: null, maxHours: null, slots: null },
    budget: { maxCostUsd: null, maxTokens: null, maxHours: null, reached: null },
    phase: 'running',
    planned: 4,
    unfinished: 4,
    verified: 0,
    accepted: 0,
    unverifiable: 0,
    held: 0,
    infrastructure: 0,
    verdicts: {},
    live: 4,
    stages: {},
    waiting: [
      {
        reason: 'The endpoint h limits our rate.',
        samples: 3,
        nextTryAt: new Date(2030, 0, 1, 12, 4, 5).toISOString(),
      },
      { reason: 'All 4 calls are under way.', samples: 1, nextTryAt: null },
    ],
    spent: {
      calls: 0,
      unpricedCalls: 0,
      inputTokens: 0,
      cachedInputTokens: 0,
      outputTokens: 0,
      reasoningTokens: 0,
      costUsd: null,
      hours: 0,
    },
    projected: { costUsd: null, hoursLeft: null, perAcceptedUsd: null },
    endpoints: [],
  };
  expect(renderProgress(state, 0).split('\n').slice(-2)).toEqual([
    'waiting (3): The endpoint h limits our rate. (next try 12:04:05)',
    'waiting (1): All 4 calls are under way.',
  ]);
});
