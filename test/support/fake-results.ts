/** Results of stages, of the size that real ones have. */

import type { RecallFigures } from '../../domain/recall.ts';
import type { RolloutResult, Spent } from '../../domain/sample.ts';
import { sha256 } from '../../store/blobs.ts';

export const hex = (length: number) => sha256('a result').repeat(2).slice(0, length);
export const REF = `sha256:${sha256('content')}` as const;
export const SPENT: Spent = {
  usage: {
    inputTokens: 1_234_567,
    cachedInputTokens: 1_000_000,
    outputTokens: 23_456,
    reasoningTokens: 12_345,
  },
  costUsd: 0.123456789,
};
export const FIGURES: RecallFigures = {
  recall: 0.8387096774193549,
  precision: 0.7027027027027027,
  f1: 0.7647058823529411,
  matched: 26,
  targetLines: 31,
  producedLines: 37,
};

export function toRolloutResult(name: string, rolloutId: string): RolloutResult {
  return {
    key: `${name}-${hex(16)}`,
    rolloutId,
    status: 'submitted',
    steps: 87,
    patch: { ref: REF, bytes: 2048, files: 2, countedLines: 31 },
    trajectory: REF,
    journal: REF,
    sandbox: { engine: hex(36), container: hex(64), imageId: REF },
    model: 'zai-org/GLM-4.6-FP8',
    simulated: true,
    spent: SPENT,
    wasted: SPENT,
    wallMs: 123_456,
  };
}
