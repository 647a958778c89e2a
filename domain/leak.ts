/** How much of a target patch its own pull-request text gives away: rollout 2 shall find the change, not copy it. */

import { readPatch } from './patch.ts';

/** Shares from 0 (nothing leaks) to 1; a part with nothing to leak is 0. What stands in the code as it was is no leak. */
export interface Leak {
  /** The largest of `lines`, `code` and half of all hints: to name a new function is less than to show its body. */
  score: number;
  /** Distinct added lines that stand verbatim in the text, as a line or a code span of their own. */
  lines: number;
  /** Added code, counted in tokens, that stands in the text in runs of several tokens, wherever lines break. */
  code: number;
  /** Hint: identifiers that the patch introduces and the text names. */
  identifiers: number;
  /** Hint: texts and numbers that the patch introduces and the text quotes. */
  literals: number;
  /** Hint: places of changes that the text gives by line number, but in a traceback, which anyone sees. */
  positions: number;
  /** What was given away, in short, the first of it. */
  given: string[];
}

/**
 * Compares a pull-request text (Markdown) with the patch (P1) it describes. `before` is what the changed files held: who works
 * on them sees that anyway, and a text may need it. Linear in the length of all three.
 */
export function leakOf(prText: string, targetPatch: string, before = ''): Leak {
  const patch = readTarget(targetPatch, before);
  const text = readText(prText, patch.known);
  const given: string[] = [];
  let takenTokens = 0;
  let tokens = 0;
  for (const block of patch.blocks) {
    tokens += block.length;
    takenTokens += countTaken(block, text.runs, given);
  }
  const shareOf = (wanted: Set<string>, isGiven: (item: string) => boolean) => {
    const found = [...wanted].filter(isGiven);
    given.push(...found);
    return wanted.size === 0 ? 0 : found.length / wanted.size;
  };
  const lines = shareOf(patch.lines, (line) => text.lines.has(line));
  const identifiers = shareOf(patch.introduced, (name) => text.words.has(name));
  const literals = shareOf(patch.literals, (literal) => prText.includes(literal));
  const named = patch.places.filter((place) => text.places.some((each) => overlap(place, each)));
  given.push(...named.map(({ from }) => `line ${from}`));
  const positions = patch.places.length === 0 ? 0 : named.length / patch.places.length;
  const code = tokens === 0 ? 0 : takenTokens / tokens;
  const hints = Math.min(1, (identifiers + literals + positions) / 2);
  return {
    score: Math.max(lines, code, hints),
    lines,
    code,
    identifiers,
    literals,
    positions,
    given: [...new Set(given.map(shorten))].slice(0, MAX_GIVEN),
  };
}

// --- internal ---

/** Shorter runs of tokens stand in any prose by chance. */
const RUN_TOKENS = 6;
/** Lines with fewer tokens, such as `else:` or a bracket, say nothing about a change. */
const MIN_LINE_TOKENS = 3;
const MAX_GIVEN = 10;
const MAX_GIVEN_CHARS = 80;
/** Each is looked for in all of the code as it was. */
const MAX_LITERALS = 200;
const MAX_LITERAL_CHARS = 200;
const TOKEN = /[\p{L}\p{N}_$]+|[^\s`]/gu;
/** Only names that are no plain words: prose that says "timeout" does not name the variable `timeout`. */
const TELLING_NAME = /^(?!\d)(?=.{4}).*(?:_|\p{Ll}\p{Lu}|\p{L}\p{N})/u;
/** A longer word is data, not a name; the bound keeps the pattern's cost per word constant. */
const MAX_NAME_LENGTH = 100;
/** Quoted texts, and numbers that are no small ones; both say something where they are new. */
const LITERAL =
  /"((?:\\.|[^"\\\n]){4,})"|'((?:\\.|[^'\\\n]){4,})'|(?<![\w.])(\d[\d_]{2,})(?![\w.])/g;
const TRACEBACK_PLACE = /File "[^"\n]{1,300}", line \d+/g;
const PLACE =
  /\blines?\s{1,3}(\d{1,7})(?:\s{0,3}(?:[-–—]|to|and|through)\s{0,3}(\d{1,7}))?|(?:\bL|\.[a-z]{1,4}:)(\d{1,7})(?:-L?(\d{1,7}))?\b/gi;
/** Of a line number that is nearly right. */
const NEAR_LINES = 1;

/** Lines of a file, both ends included. */
interface Place {
  from: number;
  to: number;
}

function toTokens(text: string): string[] {
  return text.match(TOKEN) ?? [];
}

function isTellingName(word: string): boolean {
  return word.length <= MAX_NAME_LENGTH && TELLING_NAME.test(word);
}

/** What a text says that does not stand in the code as it was. */
function readText(prText: string, known: string) {
  const lines = new Set<string>();
  for (const line of prText.split('\n')) {
    lines.add(line.trim());
    // Signs of a quoted diff, list bullets, quotation marks of Markdown.
    lines.add(
      line
        .trimStart()
        .replace(/^[-+*>]/, '')
        .trim(),
    );
  }
  for (const [, span] of prText.matchAll(/`([^`\n]+)`/g)) lines.add(span!.trim());
  const tokens = toTokens(prText);
  const runs = new Set(runsOf(tokens));
  for (const run of runsOf(toTokens(known))) runs.delete(run);
  const places = [...prText.replaceAll(TRACEBACK_PLACE, '').matchAll(PLACE)].map(
    ([, from, to, at, until]): Place => {
      const first = Number(from ?? at);
      return { from: first, to: Number(to ?? until ?? first) };
    },
  );
  return { lines, runs, words: new Set(tokens), places };
}

function readTarget(patch: string, before: string) {
  const lines = new Set<string>();
  /** Tokens of added lines that follow each other. */
  const blocks: string[][] = [];
  const added: string[] = [];
  const old: string[] = [before];
  const places = new Map<object, Place>();
  let blockEnd = -1;
  readPatch(patch, (start, end, oldLine, hunk) => {
    const text = patch.slice(start + 1, end);
    const isAdded = patch[start] === '+';
    if (isAdded || patch[start] === '-') {
      const place = places.get(hunk);
      places.set(hunk, { from: place?.from ?? oldLine, to: oldLine });
    }
    if (!isAdded) {
      old.push(text);
      return;
    }
    added.push(text);
    const tokens = toTokens(text);
    if (tokens.length >= MIN_LINE_TOKENS) lines.add(text.trim());
    const block = blocks.at(-1);
    if (block && start === blockEnd + 1) for (const token of tokens) block.push(token);
    else blocks.push(tokens);
    blockEnd = end;
  });
  const known = old.join('\n');
  for (const line of known.split('\n')) lines.delete(line.trim());
  const introduced = new Set(added.flatMap(toTokens).filter(isTellingName));
  for (const token of toTokens(known)) introduced.delete(token);
  const literals = literalsOf(added).filter((literal) => !known.includes(literal));
  return {
    lines,
    blocks,
    introduced,
    literals: new Set(literals),
    places: [...places.values()],
    known,
  };
}

function literalsOf(lines: string[]): string[] {
  const found = new Set<string>();
  for (const line of lines) {
    for (const [, double, single, number] of line.matchAll(LITERAL)) {
      const literal = double ?? single ?? number ?? '';
      if (literal.length > MAX_LITERAL_CHARS) continue;
      if (number === undefined && !/\p{L}{3}/u.test(literal)) continue;
      found.add(literal);
      if (found.size === MAX_LITERALS) return [...found];
    }
  }
  return [...found];
}

function overlap(a: Place, b: Place): boolean {
  return a.from <= b.to + NEAR_LINES && b.from <= a.to + NEAR_LINES;
}

/** Tokens of a block that belong to at least one run which the text has too. */
function countTaken(block: string[], runs: Set<string>, given: string[]): number {
  let taken = 0;
  let coveredUntil = 0;
  for (const [start, run] of [...runsOf(block)].entries()) {
    if (!runs.has(run)) continue;
    if (start >= coveredUntil && given.length < MAX_GIVEN) given.push(run);
    taken += start + RUN_TOKENS - Math.max(start, coveredUntil);
    coveredUntil = start + RUN_TOKENS;
  }
  return taken;
}

function* runsOf(tokens: string[]): Generator<string> {
  for (let start = 0; start + RUN_TOKENS <= tokens.length; start += 1) {
    yield tokens.slice(start, start + RUN_TOKENS).join(' ');
  }
}

function shorten(text: string): string {
  return text.length <= MAX_GIVEN_CHARS ? text : `${text.slice(0, MAX_GIVEN_CHARS)}…`;
}
