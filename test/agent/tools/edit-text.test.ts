import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Edited,
  insertAfter,
  numberLines,
  replaceOnce,
  showChange,
} from '../../../agent/tools/edit-text.ts';

const textOf = (edited: Edited) => ('text' in edited ? edited.text : `refused: ${edited.refused}`);

describe('replaceOnce', () => {
  test.each([
    ['a word', 'a b c', 'b', 'x', 'a x c'],
    ['by nothing', 'a\nb\nc\n', 'b\n', '', 'a\nc\n'],
    ['the whole file', 'a', 'a', 'b', 'b'],
    ['at the beginning', 'ab', 'a', 'x', 'xb'],
    ['patterns are plain text', 'a.c abc', 'a.c', '$&\\1', '$&\\1 abc'],
    ['no final newline stays so', 'a\nb', 'b', 'c', 'a\nc'],
    [
      'a file of CRLF by lines of LF',
      'a\r\nb\r\nc\r\n',
      'a\nb\n',
      'x\ny\nz\n',
      'x\r\ny\r\nz\r\nc\r\n',
    ],
    ['a file of CRLF by lines of CRLF', 'a\r\nb\r\n', 'a\r\nb', 'x\r\ny', 'x\r\ny\r\n'],
    ['one word in a file of CRLF by two lines', 'a\r\nb\r\n', 'b', 'x\ny', 'a\r\nx\r\ny\r\n'],
    ['a last word without newline, CRLF', 'a\r\nb', 'b', 'x\ny', 'a\r\nx\r\ny'],
    ['a file of LF by lines of CRLF', 'a\nb\n', 'a', 'x\r\ny', 'x\ny\nb\n'],
    [
      'mixed endings: only what is replaced changes',
      'a\nb\r\nc\nd\r\n',
      'c',
      'x\ny',
      'a\nb\r\nx\ny\nd\r\n',
    ],
    ['mixed endings: the CRLF part', 'a\nb\r\nc\n', 'b\n', 'x\ny\n', 'a\nx\r\ny\r\nc\n'],
    ['a lone carriage return stays', 'a\rb\nc', 'c', 'd', 'a\rb\nd'],
    ['beside astral characters', '😀\r\nb😀', 'b😀', 'c', '😀\r\nc'],
    ['a byte-order mark stays', '\uFEFFa', 'a', 'b', '\uFEFFb'],
    ['NUL is a character like others', 'a\0b', '\0', '-', 'a-b'],
    ['blanks count', 'a  b', '  ', ' ', 'a b'],
  ])('replaces %s', (_what, text, old, replacement, expected) => {
    expect(textOf(replaceOnce(text, old, replacement))).toBe(expected);
  });

  test.each([
    ['nothing to look for', 'a', '', 'b', 'empty'],
    ['nothing to change', 'a', 'a', 'a', 'the same'],
    ['nothing to change but endings', 'a\r\n', 'a\n', 'a\r\n', 'the same'],
    ['a text that is not there', 'a', 'b', 'c', 'does not occur in the file; view the file'],
    ['a text with other blanks, naming the line', 'x\n    foo\n', '\tfoo\n', 'c', 'is line 2;'],
    ['an empty file', '', 'b', 'c', 'does not occur'],
    ['two occurrences, naming their lines', 'a\nb\na\n', 'a', 'c', 'in lines 1, 3;'],
    ['overlapping occurrences', 'aaa', 'aa', 'b', 'in lines 1, 1;'],
    ['two occurrences in CRLF', 'b\r\na\r\nb\r\n', 'b\n', 'c', 'in lines 1, 3;'],
    ['very many occurrences, in short', 'a\n'.repeat(5000), 'a', 'b', '9, 10 and more;'],
  ])('refuses %s', (_what, text, old, replacement, reason) => {
    expect(textOf(replaceOnce(text, old, replacement))).toMatch(/^refused: /);
    expect(textOf(replaceOnce(text, old, replacement))).toContain(reason);
  });
});

describe('insertAfter', () => {
  test.each([
    ['before the first line', 'a\nb\n', 0, 'x', 'x\na\nb\n'],
    ['in the middle', 'a\nb\n', 1, 'x\ny', 'a\nx\ny\nb\n'],
    ['a final newline adds no line', 'a\nb\n', 1, 'x\n', 'a\nx\nb\n'],
    ['an empty line', 'a\nb\n', 1, '', 'a\n\nb\n'],
    ['two empty lines', 'a\nb\n', 1, '\n\n', 'a\n\n\nb\n'],
    ['at the end', 'a\nb\n', 2, 'x', 'a\nb\nx\n'],
    ['at the end without final newline', 'a\nb', 2, 'x', 'a\nb\nx'],
    ['into an empty file', '', 0, 'x', 'x\n'],
    ['into a file of CRLF', 'a\r\nb\r\n', 1, 'x\ny', 'a\r\nx\r\ny\r\nb\r\n'],
    ['at the end of CRLF without final newline', 'a\r\nb', 2, 'x', 'a\r\nb\r\nx'],
    ['before a file of CRLF', 'a\r\nb', 0, 'x', 'x\r\na\r\nb'],
    ['with the ending of the line before', 'a\r\nb\nc\n', 1, 'x', 'a\r\nx\r\nb\nc\n'],
  ])('inserts %s', (_what, text, line, inserted, expected) => {
    expect(textOf(insertAfter(text, line, inserted))).toBe(expected);
  });

  test.each([
    ['a\nb\n', 3],
    ['a\nb', 3],
    ['a\n', -1],
    ['', 1],
  ])('refuses %j at line %i, saying which lines there are', (text, line) => {
    expect(textOf(insertAfter(text, line, 'x'))).toMatch(/the file has lines 0 to \d/);
  });
});

describe('numberLines', () => {
  test.each<[string, string, [number, number] | undefined, string]>([
    ['all lines', 'a\nb\n', undefined, '     1\ta\n     2\tb'],
    ['a range', 'a\nb\nc\n', [2, 3], '     2\tb\n     3\tc'],
    ['to the end', 'a\nb\nc', [2, -1], '     2\tb\n     3\tc'],
    ['past the end, as far as it goes', 'a\nb\n', [2, 99], '     2\tb'],
    ['lines of CRLF without it', 'a\r\nb\r\n', undefined, '     1\ta\n     2\tb'],
  ])('shows %s', (_what, text, range, expected) => {
    expect(textOf(numberLines(text, range))).toBe(expected);
  });

  test.each<[[number, number], string]>([
    [[0, 2], 'begins at line 0, but the file has 2 lines'],
    [[3, -1], 'begins at line 3'],
    [[2, 1], 'ends at line 1, before it begins'],
    [[1, -2], 'ends at line -2'],
  ])('refuses %j', (range, reason) => {
    expect(textOf(numberLines('a\nb\n', range))).toContain(reason);
  });
});

describe('showChange', () => {
  const before = Array.from({ length: 30 }, (_, index) => `line ${index + 1}\n`).join('');
  test.each([
    [
      'a changed line',
      before.replace('line 15\n', 'new\n'),
      /^ +11\t[^]*15\tnew\n[^]* 19\tline 19$/,
    ],
    [
      'a removed line',
      before.replace('line 15\n', ''),
      /^ +11\tline 11[^]*14\tline 14\n +15\tline 16[^]*18\tline 19$/,
    ],
    ['a new last line', `${before}end\n`, /^ +27\t[^]*31\tend$/],
    ['removed last lines', before.slice(0, before.indexOf('line 20')), /19\tline 19$/],
    ['a lost final newline', before.trimEnd(), /30\tline 30$/],
    ['an emptied file', '', /^The file is empty now.$/],
  ])('shows %s with what is around it', (_what, after, shown) => {
    expect(showChange(before, after)).toMatch(shown);
  });
});

describe('for any text', () => {
  const line = fc.stringMatching(/^[ab \t]{0,4}$/);
  const lf = fc.array(line, { maxLength: 8 }).map((lines) => lines.join('\n'));
  const toCrlf = (text: string) => text.replaceAll('\n', '\r\n');

  test('a replacement touches what it replaces and nothing else', () => {
    fc.assert(
      fc.property(lf, lf, lf, (before, after, replacement) => {
        const edited = replaceOnce(`${before}<old>${after}`, '<old>', replacement);
        expect(textOf(edited)).toBe(before + replacement + after);
      }),
    );
  });

  test('a file of CRLF is edited as the same file of LF would be', () => {
    fc.assert(
      fc.property(lf, lf, lf, fc.nat(9), (text, old, replacement, at) => {
        const crlf = toCrlf(`${text}\n`);
        const edits: [Edited, Edited][] = [
          [replaceOnce(`${text}\n`, old, replacement), replaceOnce(crlf, old, replacement)],
          [insertAfter(`${text}\n`, at, replacement), insertAfter(crlf, at, replacement)],
        ];
        for (const [plain, windows] of edits) {
          if ('text' in plain) expect(textOf(windows)).toBe(toCrlf(plain.text));
          else expect(windows).toEqual(plain);
        }
      }),
    );
  });

  test('inserted lines stand where they were put, and the others stay', () => {
    fc.assert(
      fc.property(lf, line, fc.nat(8), (text, inserted, at) => {
        const edited = insertAfter(text, at, inserted);
        if (!('text' in edited)) return;
        const lines = edited.text.split('\n');
        expect(lines[at]).toBe(inserted);
        lines.splice(at, 1);
        expect(lines.join('\n')).toBe(text);
      }),
    );
  });

  test('what has been inserted can be replaced away again', () => {
    fc.assert(
      fc.property(lf, fc.nat(8), (text, at) => {
        const edited = insertAfter(`${text}\n`, at, '<new>');
        if (!('text' in edited)) return;
        expect(textOf(replaceOnce(edited.text, '<new>\n', ''))).toBe(`${text}\n`);
      }),
    );
  });
});
