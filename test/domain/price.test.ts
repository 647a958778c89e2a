import { describe, expect, it } from 'vitest';
import { costOf } from '../../domain/price.ts';

describe('the cost of a call', () => {
  const usage = {
    inputTokens: 1_000_000,
    cachedInputTokens: 400_000,
    outputTokens: 100_000,
    reasoningTokens: 50_000,
  };

  it('counts cached input at its own price', () => {
    expect(costOf(usage, { input: 1, cachedInput: 0.1, output: 10 })).toBeCloseTo(1.64);
  });

  it('counts cached input as input where it has no price', () => {
    expect(costOf(usage, { input: 1, output: 10 })).toBeCloseTo(2);
  });

  it('is unknown without a price or without usage', () => {
    expect(costOf(usage, undefined)).toBeNull();
    expect(costOf(undefined, { input: 1, output: 10 })).toBeNull();
  });
});
