import { expect, test } from 'vitest';
import { DEMONSTRATIONS, demonstrationsOf } from '../../domain/demonstrations.ts';

test('there are more than twenty, each with its own id, from one line to several paragraphs', () => {
  expect(DEMONSTRATIONS.length).toBeGreaterThan(20);
  expect(new Set(DEMONSTRATIONS.map(({ id }) => id)).size).toBe(DEMONSTRATIONS.length);
  const lengths = DEMONSTRATIONS.map(({ text }) => text.length);
  expect(Math.min(...lengths)).toBeLessThan(100);
  expect(Math.max(...lengths)).toBeGreaterThan(700);
  for (const { text } of DEMONSTRATIONS) expect(text).toBe(text.trim());
});

test('texts of the user come on top, in place of one of ours, or alone', () => {
  const ours = DEMONSTRATIONS.length;
  expect(demonstrationsOf({ replace: false, add: { mine: 'It fails.' } })).toHaveLength(ours + 1);
  expect(demonstrationsOf({ replace: false, add: { regression: 'It fails.' } })).toHaveLength(ours);
  expect(demonstrationsOf({ replace: true, add: { mine: 'It fails.' } })).toEqual([
    { id: 'mine', text: 'It fails.' },
  ]);
});

test('a blank text, or none at all, is refused with the reason', () => {
  expect(() => demonstrationsOf({ replace: false, add: { mine: ' ' } })).toThrow(
    'prompts.demonstrations.mine: the text is blank',
  );
  expect(() => demonstrationsOf({ replace: true, add: {} })).toThrow('no example is left');
});

test('a text of an evaluation benchmark is refused, wherever it stands in one of the user', () => {
  const add = (text: string) => () => demonstrationsOf({ replace: false, add: { mine: text } });
  const statement =
    'UsernameValidator allows trailing newline in usernames\nDescription\n\nASCIIUsernameValidator and UnicodeUsernameValidator';
  const reason = 'prompts.demonstrations.mine: the text is of an evaluation benchmark';
  expect(add(`From a tracker:\n\n## ${statement}`)).toThrow(reason);
  expect(add('As in django__django-11099, names may end with a newline.')).toThrow(reason);
  expect(add('Usernames may end with a newline, and __init__-1 does not help.')).not.toThrow();
});
