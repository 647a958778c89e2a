import { PassThrough, Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { colorsOf, type Output, sanitize, sanitizeLine, write } from '../../client/output.ts';
import { renderTable } from '../../client/table.ts';

describe('text of models and repositories', () => {
  it.each([
    ['plain text, accents é and 漢字 stay', 'plain text, accents é and 漢字 stay'],
    ['line\nbreaks\tand tabs stay', 'line\nbreaks\tand tabs stay'],
    ['windows\r\nends', 'windows\nends'],
    ['over\rwritten', 'overwritten'],
    ['\u001b[31mred\u001b[0m', 'red'],
    ['\u001b[2J\u001b[1;1Hcleared', 'cleared'],
    ['\u009b31mC1 red', 'C1 red'],
    ['\u001b]0;title\u0007rest', ']0;titlerest'],
    ['\u001b]8;;http://evil\u001b\\link\u001b]8;;\u001b\\', ']8;;http://evil\\link]8;;\\'],
    ['\u001b]52;c;unterminated', ']52;c;unterminated'],
    ['\u001bPq sixel', 'Pq sixel'],
    ['back\bspace bell\u0007 nul\0 del\u007f', 'backspace bell nul del'],
    ['access\u202e level\u202c \u2066isolate\u2069', 'access level isolate'],
    ['zero\u200bwidth\ufeff and\u00ad soft', 'zerowidth and soft'],
    ['tags\u{e0041}\u{e0042}', 'tags'],
    ['line\u2028separator', 'lineseparator'],
    ['👩\u200d🚀 می\u200cخواهم', '👩\u200d🚀 می\u200cخواهم'],
    ['lone \ud800 surrogate', 'lone \ufffd surrogate'],
    ['\u001b\u001b[31m[31mnested', '[31mnested'],
  ])('%j is shown as %j', (hostile, shown) => {
    expect(sanitize(hostile)).toBe(shown);
  });

  it('is put on one line where a line is meant', () => {
    expect(sanitizeLine(' a\n\n b\u001b[1m\tc ')).toBe('a b c');
  });

  it('is sanitised in time that grows with its length', () => {
    const started = performance.now();
    sanitize('\u001b['.repeat(100_000) + '\u001b[0;'.repeat(50_000));
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe('colours', () => {
  const terminal: Output = Object.assign(new PassThrough(), { isTTY: true });
  it.each([
    ['on a terminal', terminal, {}, true],
    ['without one', new PassThrough() as Output, {}, false],
    ['with NO_COLOR', terminal, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
    ['with an empty NO_COLOR', terminal, { NO_COLOR: '' }, true],
    ['on a dumb terminal', terminal, { TERM: 'dumb' }, false],
    ['when forced', new PassThrough() as Output, { FORCE_COLOR: '1' }, true],
  ])('%s', (_, stream, env, isColored) => {
    expect(colorsOf(stream, env).isColorSupported).toBe(isColored);
  });
});

describe('a table', () => {
  const render = (columns: number | undefined) =>
    renderTable(
      ['function', 'lines'],
      [
        ['parse\u001b[31m_header\nin http/headers.py', 12],
        ['f', 1234],
      ],
      {
        stream: Object.assign(
          new PassThrough(),
          columns === undefined ? {} : { isTTY: true, columns },
        ),
        env: { NO_COLOR: '1' },
      },
    );

  it('aligns texts to the left and numbers to the right, without hostile bytes', () => {
    expect(render(undefined)).toBe(
      `${'function'.padEnd(33)}lines\nparse_header in http/headers.py     12\nf${' '.repeat(33)}1234\n`,
    );
  });

  it('cuts what would widen every row, whatever it is printed to', () => {
    const table = renderTable(['function', 'lines'], [['n'.repeat(5000), 1]], {
      stream: new PassThrough(),
      env: {},
    });
    expect(table).toBe(`${'function'.padEnd(82)}lines\n${'n'.repeat(79)}…${' '.repeat(6)}1\n`);
  });

  it('fits a narrow terminal by cutting the widest column', () => {
    const lines = render(24).trimEnd().split('\n');
    expect(lines.every((line) => line.length <= 24)).toBe(true);
    expect(lines[1]).toMatch(/^parse_head.*… +12$/);
  });
});

describe('writing', () => {
  it('waits for a slow reader', async () => {
    let finish = () => {};
    const slow = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, done) => (finish = done),
    });
    let isDone = false;
    const writing = write(slow, 'text').then(() => (isDone = true));
    await new Promise(setImmediate);
    expect(isDone).toBe(false);
    finish();
    await writing;
    expect(isDone).toBe(true);
  });

  it('ends when the reader is gone', async () => {
    const gone = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, done) =>
        done(Object.assign(new Error('EPIPE'), { code: 'EPIPE' })),
    });
    gone.on('error', () => {});
    await expect(write(gone, 'text')).rejects.toThrow('EPIPE');
  });
});
