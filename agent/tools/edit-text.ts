/** Pure edits of a text file: line endings and a missing final newline are kept, and every refusal says where and why. */

/** An edit that can't be made; the message is for the teacher. */
export interface Refusal {
  refused: string;
}
export type Edited = { text: string } | Refusal;

/** Lines named in a refusal, at most. */
const MAX_NAMED_LINES = 10;
/** Lines shown before and after a change. */
const CONTEXT_LINES = 4;

/**
 * `text` with the one occurrence of `oldText` replaced. `\n` in `oldText` also matches `\r\n`; the new text takes the line
 * endings of what it replaces. Refused when `oldText` occurs nowhere or more than once, overlapping occurrences included.
 */
export function replaceOnce(text: string, oldText: string, newText: string): Edited {
  const normal = toNewlines(text);
  const old = toNewlines(oldText);
  const replacement = toNewlines(newText);
  if (old === '') return { refused: '`old_str` is empty; give the text to replace.' };
  if (old === replacement) {
    return { refused: '`old_str` and `new_str` are the same, so nothing would change.' };
  }
  const starts = occurrences(normal, old);
  const [start] = starts;
  if (start === undefined) return { refused: notFound(normal, old) };
  if (starts.length > 1) {
    const more = starts.length > MAX_NAMED_LINES ? ' and more' : '';
    const lines = starts.slice(0, MAX_NAMED_LINES).map((each) => lineAt(normal, each));
    return {
      refused: `\`old_str\` occurs more than once, beginning in lines ${lines.join(', ')}${more}; add lines around it until it is unique.`,
    };
  }
  const from = toOriginal(text, start);
  const to = toOriginal(text, start + old.length);
  const ending = text.slice(from, to).includes('\r\n') ? '\r\n' : endingAt(text, from);
  return { text: text.slice(0, from) + withEnding(replacement, ending) + text.slice(to) };
}

/**
 * `text` with `newText` as lines of their own after line `line`; 0 is before the first line. A final newline of `newText`
 * adds no empty line. Refused when there is no such line.
 */
export function insertAfter(text: string, line: number, newText: string): Edited {
  const lines = splitLines(text);
  if (line < 0 || line > lines.length) {
    return { refused: `\`insert_line\` is ${line}, but the file has lines 0 to ${lines.length}.` };
  }
  const offset = lines.slice(0, line).join('').length;
  const ending = endingAt(text, Math.max(0, offset - 1));
  const inserted = withEnding(toNewlines(newText).replace(/\n$/, ''), ending);
  const before = text.slice(0, offset);
  const startsInLine = before !== '' && !before.endsWith('\n');
  return {
    text: before + (startsInLine ? ending + inserted : inserted + ending) + text.slice(offset),
  };
}

/**
 * Lines `first` … `last` (1-based, inclusive; -1: to the end), each after its number and a tab; all of them without a range.
 * Refused when the range lies outside of the file.
 */
export function numberLines(text: string, range?: readonly [number, number]): Edited {
  const lines = splitLines(text);
  const [first, last] = range ?? [1, -1];
  if (range !== undefined && (first < 1 || first > lines.length)) {
    return {
      refused: `\`view_range\` begins at line ${first}, but the file has ${lines.length} lines.`,
    };
  }
  if (last !== -1 && last < first) {
    return {
      refused: `\`view_range\` ends at line ${last}, before it begins; use -1 for the end of the file.`,
    };
  }
  const shown = lines.slice(first - 1, last === -1 ? undefined : last);
  return {
    text: shown
      .map((line, index) => `${String(first + index).padStart(6)}\t${line.replace(/\r?\n$/, '')}`)
      .join('\n'),
  };
}

/** The changed lines of `after` and some around them, numbered; says so when all that is left is nothing. */
export function showChange(before: string, after: string): string {
  if (after === '') return 'The file is empty now.';
  const [old, current] = [splitLines(before), splitLines(after)];
  const shorter = Math.min(old.length, current.length);
  let start = 0;
  while (start < shorter && old[start] === current[start]) start += 1;
  let sameAtEnd = 0;
  while (sameAtEnd < shorter - start && old.at(-1 - sameAtEnd) === current.at(-1 - sameAtEnd)) {
    sameAtEnd += 1;
  }
  const first = Math.max(1, start + 1 - CONTEXT_LINES);
  const last = Math.min(current.length, current.length - sameAtEnd + CONTEXT_LINES);
  const shown = numberLines(after, [Math.min(first, last), last]);
  return 'text' in shown ? shown.text : shown.refused;
}

// --- internal ---

function toNewlines(text: string): string {
  return text.replaceAll('\r\n', '\n');
}

function withEnding(text: string, ending: string): string {
  return ending === '\n' ? text : text.replaceAll('\n', ending);
}

/** Lines with their endings; an empty text has none. */
function splitLines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

/** The ending of the line at an offset; of the line before it where that one has none. */
function endingAt(text: string, offset: number): '\n' | '\r\n' {
  const next = text.indexOf('\n', offset);
  const newline = next === -1 ? text.lastIndexOf('\n', offset) : next;
  return newline > 0 && text[newline - 1] === '\r' ? '\r\n' : '\n';
}

/** Offset in `text` for an offset in the same text with `\n` for `\r\n`. */
function toOriginal(text: string, offset: number): number {
  let pairs = 0;
  for (let at = text.indexOf('\r\n'); at !== -1; at = text.indexOf('\r\n', at + 2)) {
    if (at - pairs >= offset) break;
    pairs += 1;
  }
  return offset + pairs;
}

function occurrences(text: string, part: string): number[] {
  const starts: number[] = [];
  let at = text.indexOf(part);
  while (at !== -1 && starts.length <= MAX_NAMED_LINES) {
    starts.push(at);
    at = text.indexOf(part, at + 1);
  }
  return starts;
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

function notFound(text: string, old: string): string {
  const first = old
    .split('\n')
    .find((line) => line.trim() !== '')
    ?.trim();
  const near = text
    .split('\n')
    .flatMap((line, index) => (first !== undefined && line.trim() === first ? [index + 1] : []));
  const hint =
    near.length === 0
      ? 'view the file and copy the text exactly'
      : `its first line, blanks aside, is line ${near.slice(0, MAX_NAMED_LINES).join(', ')}; compare blanks and the lines that follow`;
  return `\`old_str\` does not occur in the file; ${hint}.`;
}
