import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { estimateTokens } from '../../dataset/tokens.ts';

/** Tokens of the first 50,000 characters as the tokenizer of Qwen3 counts them. */
const QWEN3: [string, number][] = [
  ['recall-public.md', 239],
  ['recall-public.jsonl', 15_692],
  ['tokenizer/tokenizer.json', 14_292],
];

test.each(QWEN3)(
  'the estimate of %s is within a tenth of what Qwen3 counts',
  async (name, tokens) => {
    const text = (await readFile(`test/fixtures/${name}`, 'utf8')).slice(0, 50_000);
    const ratio = estimateTokens(text) / tokens;
    expect(ratio).toBeGreaterThan(0.9);
    expect(ratio).toBeLessThan(1.1);
  },
);

test.each([
  ['', 0],
  ['word', 1],
  ['a b', 2],
  ['1234', 4],
  ['x = f(y)\n', 5],
])('the estimate of %j is %i', (text, tokens) => {
  expect(estimateTokens(text)).toBe(tokens);
});

test('what a program may print takes no time', () => {
  const startedAt = performance.now();
  for (const text of [' ', '\n', ' \n', '=', '-a', '\u3042'])
    expect(estimateTokens(text.repeat(1_000_000))).toBeGreaterThan(0);
  expect(performance.now() - startedAt).toBeLessThan(30_000);
});
