import fc from 'fast-check';
import { expect, test } from 'vitest';
import { clip } from '../../agent/clip.ts';

test('a text that fits is left alone, but for NUL', () => {
  expect(clip('a\u001b[1mb\0c\r\n', 20)).toBe('a\u001b[1mb\uFFFDc\r\n');
});

test('a longer text keeps both ends and says how much is missing', () => {
  const text = 'A'.repeat(5000) + 'Z'.repeat(5000);
  const clipped = clip(text, 1000);
  const [, head = '', missing, tail = ''] =
    /^(A+)\n\[… (\d+) characters left out …\]\n(Z+)$/.exec(clipped) ?? [];
  expect(head.length + tail.length + Number(missing)).toBe(10_000);
  expect(Math.abs(head.length - tail.length)).toBeLessThan(2);
});

test('no limit is passed and no character cut in two, whatever the text', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 300 }),
      fc.integer({ min: 80, max: 200 }),
      (text, max) => {
        const clipped = clip(text, max);
        expect(clipped.length).toBeLessThanOrEqual(Math.max(max, 80));
        expect(clipped).not.toMatch(/\p{Surrogate}/u);
      },
    ),
  );
});
