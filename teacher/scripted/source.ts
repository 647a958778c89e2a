/** A function in the text the scripted teacher was shown: where it begins, where code can be put, what it takes and returns. */

import { type Family, LANGUAGES } from './languages.ts';

export interface Line {
  /** 1-based, as shown. */
  number: number;
  text: string;
}

/** The lines of a numbered listing (number, tab, text), as the editor's view and `cat -n` print them. */
export function parseListing(text: string): Line[] {
  return text.split('\n').flatMap((row) => {
    const [, number, content] = /^\s*(\d+)\t(.*)$/.exec(row) ?? [];
    return number === undefined || content === undefined
      ? []
      : [{ number: Number(number), text: content.replace(/\r$/, '') }];
  });
}

/** The last part of a qualified name, and what stands before it. */
export function splitName(name: string): { owner: string | undefined; own: string } {
  const parts = name.split('.');
  return { owner: parts.at(-2), own: parts.at(-1) ?? name };
}

/** The line that defines the function, from `grep -n` output for its name and its owner's; undefined when none does. */
export function findDefinition(output: string, name: string, family: Family): number | undefined {
  const { owner, own } = splitName(name);
  const lines = output.split('\n').flatMap((row) => {
    const [, number, text] = /^(\d+):(.*)$/.exec(row) ?? [];
    return number === undefined || text === undefined
      ? []
      : [{ number: Number(number), text: text.trimEnd() }];
  });
  const isOwner = new RegExp(
    `^\\s*(\\w+\\s+){0,3}(class|const|let|var|function|def)\\s+${escape(owner ?? '')}(?![\\w$])`,
  );
  const ownerAt =
    owner === undefined ? 0 : (lines.find(({ text }) => isOwner.test(text))?.number ?? 0);
  for (const pattern of LANGUAGES[family].definitions) {
    const isDefinition = new RegExp(pattern.replace('NAME', () => escape(own)));
    const found = lines.filter(({ text }) => isDefinition.test(text));
    const best =
      found.find(({ text }) => family === 'go' && owner !== undefined && text.includes(owner)) ??
      (ownerAt > 0 ? found.find(({ number }) => number >= ownerAt) : found.sort(byIndent)[0]) ??
      found[0];
    if (best !== undefined) return best.number;
  }
  return undefined;
}

export interface FunctionText {
  /** Index of the line that defines it. */
  definition: number;
  indent: string;
  /** Index of the line after which code can stand, and its indentation; undefined where that is not certain. */
  body: { after: number; indent: string; step: string } | undefined;
  /** Index of its last line at the body's own level that begins a statement; undefined when not seen. */
  lastStatement: number | undefined;
  /** Its first parameter with a plain name. */
  parameter: string | undefined;
}

/** Looks at the function that the line at `definition` begins. */
export function readFunction(
  lines: Line[],
  definition: number,
  name: string,
  family: Family,
): FunctionText {
  const indent = indentOf(lines[definition]?.text ?? '');
  const signatureEnd = findSignatureEnd(lines, definition, family);
  const none = { definition, indent, body: undefined, lastStatement: undefined };
  if (signatureEnd === undefined) return { ...none, parameter: undefined };

  const signature = textOf(lines, definition, signatureEnd);
  const parameter = firstParameter(signature, splitName(name).own, family);
  const after = skipPrologue(lines, signatureEnd, family);
  if (after === undefined) return { ...none, parameter };
  const first = lines.slice(signatureEnd + 1).find(({ text }) => text.trim() !== '')?.text ?? '';
  const isDeeper = indentOf(first).length > indent.length && indentOf(first).startsWith(indent);
  const bodyIndent = isDeeper ? indentOf(first) : indent + LANGUAGES[family].indent;
  const body = { after, indent: bodyIndent, step: bodyIndent.slice(indent.length) };
  const lastStatement = findLastStatement(lines, { after, indent, bodyIndent });
  return { definition, indent, body, lastStatement, parameter };
}

const MAX_SIGNATURE_LINES = 15;

function findSignatureEnd(lines: Line[], start: number, family: Family): number | undefined {
  let depth = 0;
  for (let at = start; at < Math.min(lines.length, start + MAX_SIGNATURE_LINES); at++) {
    const text = (lines[at]?.text ?? '')
      .replace(family === 'python' ? /\s#.*$/ : /\s\/\/.*$/, '')
      .trimEnd();
    for (const char of text) {
      if (char === '(' || char === '[') depth += 1;
      if (char === ')' || char === ']') depth -= 1;
    }
    if (depth !== 0) continue;
    return opensBody(textOf(lines, start, at - 1) + text, family) ? at : undefined;
  }
  return undefined;
}

function opensBody(signature: string, family: Family): boolean {
  switch (family) {
    case 'python':
      return signature.endsWith(':');
    case 'go':
      return signature.endsWith('{') && !/(struct|interface)\s*\{$/.test(signature);
    case 'script':
      return /(=>|\)(\s*:\s*[^{}=:]*[^{}=:\s<(&|,])?)\s*\{$/.test(signature);
  }
}

/** Behind a docstring or a directive, which must stay the first thing of a body; undefined when its end is not in sight. */
function skipPrologue(lines: Line[], signatureEnd: number, family: Family): number | undefined {
  const first = lines.findIndex(({ text }, at) => at > signatureEnd && text.trim() !== '');
  const text = lines[first]?.text.trim() ?? '';
  if (family === 'script') return /^(['"])use [a-z ]+\1;?$/.test(text) ? first : signatureEnd;
  if (family === 'go') return signatureEnd;
  const [opening, quotes = ''] = /^[rRuU]?("""|'''|"|')/.exec(text) ?? [];
  if (opening === undefined) return signatureEnd;
  if (text.slice(opening.length).includes(quotes)) return text.endsWith(quotes) ? first : undefined;
  const end = lines.findIndex(({ text: each }, at) => at > first && each.includes(quotes));
  return end !== -1 && lines[end]?.text.trimEnd().endsWith(quotes) ? end : undefined;
}

function findLastStatement(
  lines: Line[],
  { after, indent, bodyIndent }: { after: number; indent: string; bodyIndent: string },
): number | undefined {
  const rest = lines.slice(after + 1);
  const length = rest.findIndex(
    ({ text }) => text.trim() !== '' && indentOf(text).length <= indent.length,
  );
  if (length === -1) return undefined;
  const index = rest
    .slice(0, length)
    .findLastIndex(({ text }) => indentOf(text) === bodyIndent && /^\s*[A-Za-z_]/.test(text));
  const isContinued = index > 0 && rest[index - 1]?.text.trimEnd().endsWith('\\');
  return index === -1 || isContinued ? undefined : after + 1 + index;
}

const RESERVED = new Set(['self', 'cls', 'this', 'function', 'async', '_']);

function firstParameter(signature: string, own: string, family: Family): string | undefined {
  const start = signature.indexOf(own) + own.length;
  const single = /=\s*(?:async\s+)?([A-Za-z_$][\w$]*)\s*=>/.exec(signature.slice(start));
  const list = /\(([^]*)$/.exec(signature.slice(start))?.[1] ?? '';
  const candidates = single?.[1] === undefined ? list.split(/[,)]/) : [single[1]];
  const pattern =
    family === 'go'
      ? /^\s*([A-Za-z_]\w*)\s+\S/
      : /^\s*(?:(?:public|private|protected|readonly)\s+)*(?:\*{1,2}|\.{3})?([A-Za-z_$][\w$]*)\s*\??\s*(?:[:=]|$)/;
  // Only the first: what follows a comma may lie inside a type or a default.
  for (const candidate of candidates.slice(0, 2)) {
    const name = pattern.exec(candidate)?.[1];
    if (name === undefined) return undefined;
    if (!RESERVED.has(name)) return name;
  }
  return undefined;
}

/** Lines `first` to `last` in one text, each with its line break. */
function textOf(lines: Line[], first: number, last: number): string {
  return lines
    .slice(first, last + 1)
    .map(({ text }) => `${text}\n`)
    .join('');
}

function byIndent(a: { text: string }, b: { text: string }): number {
  return indentOf(a.text).length - indentOf(b.text).length;
}

function indentOf(text: string): string {
  return /^\s*/.exec(text)?.[0] ?? '';
}

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
