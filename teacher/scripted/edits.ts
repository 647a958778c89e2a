/** The edits of an aim: a function only of the aim and of the text shown, so both rollouts of a sample make the same ones. */

import type { Family } from './languages.ts';
import { LANGUAGES } from './languages.ts';
import { type FunctionText, type Line, splitName } from './source.ts';
import type { Aim } from './topics.ts';
import { chance } from './wire.ts';

/** Lines `from` to before `to` of the shown text give way to others. */
export interface Edit {
  from: number;
  to: number;
  lines: string[];
}

/** The main change: a comment and code at the start of the body; where its place is not certain, only comments before the function. */
export function mainEdit(aim: Aim, found: FunctionText, name: string, family: Family): Edit {
  const { comment } = LANGUAGES[family];
  const remarks = [aim.topic.comment, aim.occasion.remark].map((text) => `${comment} ${text}`);
  if (found.body === undefined) {
    const at = found.definition;
    const lines = [...remarks, `${comment} See ${ownName(name)} below.`];
    return { from: at, to: at, lines: lines.map((text) => found.indent + text) };
  }
  const { after, indent, step } = found.body;
  const { value, declaration } = valueOf(found, name, family);
  const code = aim.topic.code[family](value, ownName(name));
  const lines = [...remarks, ...declaration, ...code].map((text) =>
    text === '' ? '' : indent + text.replaceAll(/^\t+/g, (tabs) => step.repeat(tabs.length)),
  );
  return { from: after + 1, to: after + 1, lines };
}

/** The main change as somebody makes it who does not know why: without its comments. Only comments lose all but the first. */
export function partOf(edit: Edit, family: Family): Edit {
  const isComment = (text: string) => text.trimStart().startsWith(LANGUAGES[family].comment);
  const code = edit.lines.filter((text) => !isComment(text));
  return { ...edit, lines: code.length > 0 ? code : edit.lines.slice(0, 1) };
}

/** A second change near the end of the function, in some functions; undefined where there is none. */
export function secondEdit(
  aim: Aim,
  found: FunctionText,
  lines: Line[],
  name: string,
  family: Family,
): Edit | undefined {
  const at = found.lastStatement;
  if (at === undefined || found.body === undefined) return undefined;
  const { indent } = found.body;
  if (at <= found.body.after) return undefined;
  const named = nameReturned(lines, at, found, name, family);
  if (named !== undefined && chance('named', aim.topic.title, name) < 0.7) {
    return { from: at, to: at + 1, lines: named };
  }
  const remark = `${indent}${LANGUAGES[family].comment} ${ownName(name)} ends here; nothing above may skip it.`;
  return { from: at, to: at, lines: [remark] };
}

/** Not every change has a second part. */
export function wantsSecond(aim: Aim, name: string): boolean {
  return chance('second', aim.topic.title, name) < 0.6;
}

/** `return expression` as a named result and its return; undefined where the expression may go on, or the name is taken. */
function nameReturned(
  lines: Line[],
  at: number,
  { indent }: FunctionText,
  name: string,
  family: Family,
): string[] | undefined {
  const text = lines[at]?.text ?? '';
  const next = lines[at + 1]?.text ?? '';
  const [, bodyIndent = '', expression] =
    (family === 'python'
      ? /^(\s*)return ([^#\\]+[^#\\\s,])$/
      : /^(\s*)return ([^;]*[^;\s]);$/
    ).exec(text) ?? [];
  if (expression === undefined || family === 'go') return undefined;
  const endsHere = next.trim() === '' || indentLength(next) <= indent.length;
  const result = family === 'python' ? `${ownName(name)}_result` : `${ownName(name)}Result`;
  const isTaken = lines.some((line) => line.text.includes(result));
  if (!endsHere || isTaken || !isBalanced(expression) || !/^\w/.test(result)) return undefined;
  const declared = family === 'python' ? result : `const ${result}`;
  const end = family === 'python' ? '' : ';';
  return [`${bodyIndent}${declared} = ${expression}${end}`, `${bodyIndent}return ${result}${end}`];
}

/** Without a parameter to look at, a value of its own stands in. */
function valueOf({ parameter }: FunctionText, name: string, family: Family) {
  if (parameter !== undefined) return { value: parameter, declaration: [] };
  const value = family === 'python' ? `${ownName(name)}_input` : `${ownName(name)}Input`;
  const declaration = {
    python: `${value} = None`,
    script: `let ${value} = null;`,
    go: `var ${value} interface{} = ""`,
  }[family];
  return { value, declaration: [declaration] };
}

/** The function's own name, as far as it can stand in an identifier and in a quoted text. */
function ownName(name: string): string {
  return splitName(name).own.replaceAll(/\W/g, '') || 'it';
}

function isBalanced(text: string): boolean {
  let depth = 0;
  for (const char of text) {
    if ('([{'.includes(char)) depth += 1;
    if (')]}'.includes(char)) depth -= 1;
    if (depth < 0) return false;
  }
  return depth === 0 && !/["'`]{3}|^[^`]*`[^`]*$/.test(text);
}

function indentLength(text: string): number {
  return /^\s*/.exec(text)?.[0].length ?? 0;
}

export interface Replacement {
  oldText: string;
  newText: string;
}

const MIN_CONTEXT_LINES = 2;

/** The edit as texts to exchange, with lines before it for context, until the old text occurs once in what was shown. */
export function toReplacement({ from, to, lines: added }: Edit, shown: Line[]): Replacement {
  const texts = shown.map(({ text }) => text);
  const whole = texts.join('\n');
  // An edit before the first line shown needs the line after it for context.
  const last = from === 0 && to === 0 ? 1 : to;
  let first = Math.max(0, from - MIN_CONTEXT_LINES);
  const oldText = () => texts.slice(first, last).join('\n');
  while (first > 0 && whole.split(oldText()).length > 2) first -= 1;
  return {
    oldText: oldText(),
    newText: [...texts.slice(first, from), ...added, ...texts.slice(to, last)].join('\n'),
  };
}

/** The shown lines after the edit; numbers of what follows move on. */
export function applyEdit({ from, to, lines: added }: Edit, shown: Line[]): Line[] {
  const start = shown[from]?.number ?? (shown.at(-1)?.number ?? 0) + 1;
  const grown = added.length - (to - from);
  return [
    ...shown.slice(0, from),
    ...added.map((text, index) => ({ number: start + index, text })),
    ...shown.slice(to).map(({ number, text }) => ({ number: number + grown, text })),
  ];
}
