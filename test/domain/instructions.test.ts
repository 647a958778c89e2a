import { describe, expect, test } from 'vitest';
import { INSTRUCTIONS, instructionsOf, renderInstruction } from '../../domain/instructions.ts';
import { PromptError } from '../../domain/prompts.ts';

test('the catalogue has more than fifty texts of many topics, each with its own kebab-case id', () => {
  expect(INSTRUCTIONS.length).toBeGreaterThan(50);
  expect(new Set(INSTRUCTIONS.map(({ id }) => id)).size).toBe(INSTRUCTIONS.length);
  expect(new Set(INSTRUCTIONS.map(({ text }) => text)).size).toBe(INSTRUCTIONS.length);
  expect(new Set(INSTRUCTIONS.map(({ topic }) => topic)).size).toBeGreaterThan(12);
  for (const { id } of INSTRUCTIONS) expect(id).toMatch(/^[a-z]+(-[a-z]+)*$/);
});

test.each(INSTRUCTIONS)(
  '$id points at its function, looks further than it, and renders',
  (each) => {
    const text = renderInstruction(each, { name: 'Header.parse', file: 'http/headers.py' });
    expect(text).toContain('`Header.parse` in `http/headers.py`');
    expect(text).toMatch(
      /call|helper|around|near|surround|neighbour|similar|other parts|functions|depends on|relies on/,
    );
    expect(text.length).toBeLessThan(320);
  },
);

describe('the instructions of a batch', () => {
  const text = 'Look at {{ function }} of {{ file }}.';

  test('are the catalogue and the texts of the user', () => {
    const instructions = instructionsOf({ replace: false, add: { mine: text } });
    expect(instructions).toHaveLength(INSTRUCTIONS.length + 1);
    expect(instructions.find(({ id }) => id === 'mine')).toEqual({
      id: 'mine',
      topic: 'user',
      text,
    });
  });

  test('are only those of the user when they replace the catalogue', () => {
    expect(instructionsOf({ replace: true, add: { mine: text } }).map(({ id }) => id)).toEqual([
      'mine',
    ]);
  });

  test('do not depend on the order in which they are given', () => {
    expect(instructionsOf({ replace: true, add: { b: text, a: text } })).toEqual(
      instructionsOf({ replace: true, add: { a: text, b: text } }),
    );
  });

  test('a text under an id of the catalogue takes its place', () => {
    const instructions = instructionsOf({ replace: false, add: { 'slow-path': text } });
    expect(instructions).toHaveLength(INSTRUCTIONS.length);
    expect(instructions.find(({ id }) => id === 'slow-path')?.text).toBe(text);
  });

  test.each([
    [{ typo: 'Look at {{ func }} in {{ file }}.' }, 'unknown variable `{{ func }}`'],
    [{ typo: 'Look at {{ function }}.' }, 'must use `{{ file }}`'],
  ])('a bad text is refused by name: %j', (add, message) => {
    const merging = () => instructionsOf({ replace: false, add });
    expect(merging).toThrow(PromptError);
    expect(merging).toThrow(`prompts.instructions.typo: `);
    expect(merging).toThrow(message);
  });

  test('none at all is refused', () => {
    expect(() => instructionsOf({ replace: true, add: {} })).toThrow('no instruction is left');
  });
});
