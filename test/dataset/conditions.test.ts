import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { parseCondition, parsePreference } from '../../dataset/conditions.ts';
import { FACT_NAMES, FACTS } from '../../dataset/facts.ts';

describe('parseCondition', () => {
  test.each([
    ['recall >= 0.5', 0.5, true],
    ['recall>=0.5', 0.49, false],
    ['recall < 1', 1, false],
    ['recall > 0', null, false],
    ['recall <= 1', null, false],
    ['recall != 1', null, true],
    ['recall = none', null, true],
    ['recall = none', 0, false],
    ['recall = 0|1', 1, true],
    ['language = python|go', 'go', true],
    ['language != python|go', 'go', false],
    ['file = a b/c=d.py', 'a b/c=d.py', true],
  ])('%s of %s is %s', (text, value, expected) => {
    expect(parseCondition(text).holds(value)).toBe(expected);
  });

  test('has one spelling, and may mean rows of one kind', () => {
    expect(parseCondition(' t2:recall>=.50 ')).toMatchObject({
      text: 't2: recall >= 0.5',
      kind: 't2',
    });
    expect(parseCondition('patchLines <= 40').kind).toBeUndefined();
  });

  test.each([
    ['recal >= 0.5', 'there is no fact `recal`; the nearest is `recall`'],
    ['recall', 'is no condition'],
    ['recall >= half', 'recall is a number, and `half` is none'],
    ['recall >= 0.5|0.6', '>= compares with one number'],
    ['recall >= none', '>= compares with one number'],
    ['language >= go', 'language is a text'],
    ['t3: recall >= 0.5', 'is no condition'],
  ])('refuses %s', (text, message) => {
    expect(() => parseCondition(text)).toThrow(message);
  });
});

test('an order is a fact that is a number, from either end', () => {
  expect(parsePreference('keptRatio')).toEqual({ fact: 'keptRatio', least: false });
  expect(parsePreference('tokens:least')).toEqual({ fact: 'tokens', least: true });
  expect(() => parsePreference('file')).toThrow('file is a text');
  expect(() => parsePreference('tokens:most')).toThrow('tokens:least');
});

test('every fact can be named in a condition, and docs/datasets.md tells it', async () => {
  const docs = await readFile('docs/datasets.md', 'utf8');
  const rows = docs.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
  for (const name of FACT_NAMES) {
    expect(parseCondition(`${name} = none`).fact).toBe(name);
    const { type, what } = FACTS[name];
    expect(rows).toContainEqual(['', `\`${name}\``, type, what, '']);
  }
});
