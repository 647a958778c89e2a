import { describe, expect, it } from 'vitest';
import { parseUsage } from '../../teacher/usage.ts';

describe('usage', () => {
  it.each<[string, unknown, [number, number, number, number] | undefined]>([
    ['plain', { prompt_tokens: 10, completion_tokens: 5 }, [10, 0, 5, 0]],
    [
      'with details',
      {
        prompt_tokens: 10,
        completion_tokens: 5,
        prompt_tokens_details: { cached_tokens: 8 },
        completion_tokens_details: { reasoning_tokens: 3 },
      },
      [10, 8, 5, 3],
    ],
    [
      'with details that are null',
      { prompt_tokens: 10, completion_tokens: 5, prompt_tokens_details: null },
      [10, 0, 5, 0],
    ],
    [
      'with prompt_cache_hit_tokens',
      { prompt_tokens: 10, completion_tokens: 5, prompt_cache_hit_tokens: 6 },
      [10, 6, 5, 0],
    ],
    [
      'in Anthropic names, cache beside input',
      { input_tokens: 10, output_tokens: 5, cache_read_input_tokens: 90 },
      [100, 90, 5, 0],
    ],
    [
      'with cache_read_input_tokens within the prompt',
      { prompt_tokens: 100, completion_tokens: 5, cache_read_input_tokens: 90 },
      [100, 90, 5, 0],
    ],
    [
      'with reasoning beside the output',
      {
        prompt_tokens: 10,
        completion_tokens: 5,
        total_tokens: 22,
        completion_tokens_details: { reasoning_tokens: 7 },
      },
      [10, 0, 12, 7],
    ],
    ['negative', { prompt_tokens: -4, completion_tokens: -1 }, undefined],
    [
      'with more cached than there is',
      { prompt_tokens: 10, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 50 } },
      [10, 10, 5, 0],
    ],
    [
      'with more reasoning than there is',
      {
        prompt_tokens: 10,
        completion_tokens: 5,
        completion_tokens_details: { reasoning_tokens: 50 },
      },
      [10, 0, 5, 5],
    ],
    ['absurd', { prompt_tokens: 1e15, completion_tokens: 5 }, undefined],
    ['in words', { prompt_tokens: 'many', completion_tokens: 5 }, undefined],
    ['missing', undefined, undefined],
  ])('%s', (_, said, expected) => {
    const usage = parseUsage(said);
    expect(
      usage && [
        usage.inputTokens,
        usage.cachedInputTokens,
        usage.outputTokens,
        usage.reasoningTokens,
      ],
    ).toEqual(expected);
  });
});
