/** How much of a target patch its own pull-request text gives away: rollout 2 shall find the change, not copy it. */

import { readPatch } from './patch.ts';

/** Shares from 0 (nothing leaks) to 1; a part with nothing to leak is 0. */
export interface LeakScore {
  /** The largest of `lines`, `code` and half of `identifiers`: naming a new function is less than showing its body. */
  score: number;
  /** Distinct added lines that stand verbatim in the text, as a line or a code span of their own. */
  lines: number;
  /** Identifiers that the patch introduces and the text names. */
  identifiers: number;
  /** Added code, counted in tokens, that stands in the text in runs of several tokens, wherever lines break. */
  code: number;
}

/** Compares a pull-request text (Markdown) with the patch (P1) it describes. Linear in the length of both. */
export function leakScore(prText: string, targetPatch: string): LeakScore {
  const text = readText(prText);
  const patch = readTarget(targetPatch);
  let takenTokens = 0;
  let tokens = 0;
  for (const block of patch.blocks) {
    tokens += block.length;
    takenTokens += countTaken(block, text.runs);
  }
  const lines = shareIn(patch.lines, text.lines);
  const identifiers = shareIn(patch.introduced, text.words);
  const code = tokens === 0 ? 0 : takenTokens / tokens;
  return { score: Math.max(lines, code, identifiers / 2), lines, identifiers, code };
}

// --- internal ---

/** Shorter runs of tokens stand in any prose by chance. */
const RUN_TOKENS = 6;
/** Lines with fewer tokens, such as `else:` or a bracket, say nothing about a change. */
const MIN_LINE_TOKENS = 3;
const TOKEN = /[\p{L}\p{N}_$]+|[^\s`]/gu;
/** Only names that are no plain words: prose that says "timeout" does not name the variable `timeout`. */
const TELLING_NAME = /^(?!\d)(?=.{4}).*(?:_|\p{Ll}\p{Lu}|\p{L}\p{N})/u;
/** A longer word is data, not a name; the bound keeps the pattern's cost per word constant. */
const MAX_NAME_LENGTH = 100;

function toTokens(text: string): string[] {
  return text.match(TOKEN) ?? [];
}

function isTellingName(word: string): boolean {
  return word.length <= MAX_NAME_LENGTH && TELLING_NAME.test(word);
}

function readText(prText: string) {
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
  const runs = new Set<string>();
  for (let start = 0; start + RUN_TOKENS <= tokens.length; start += 1) {
    runs.add(runAt(tokens, start));
  }
  return { lines, runs, words: new Set(tokens) };
}

function readTarget(patch: string) {
  const lines = new Set<string>();
  /** Tokens of added lines that follow each other. */
  const blocks: string[][] = [];
  const added = new Set<string>();
  const known = new Set<string>();
  let blockEnd = -1;
  readPatch(patch, (start, end) => {
    const tokens = toTokens(patch.slice(start + 1, end));
    const isAdded = patch[start] === '+';
    for (const token of tokens) if (isTellingName(token)) (isAdded ? added : known).add(token);
    if (!isAdded) return;
    if (tokens.length >= MIN_LINE_TOKENS) lines.add(patch.slice(start + 1, end).trim());
    const block = blocks.at(-1);
    if (block && start === blockEnd + 1) for (const token of tokens) block.push(token);
    else blocks.push(tokens);
    blockEnd = end;
  });
  const introduced = new Set([...added].filter((name) => !known.has(name)));
  return { lines, blocks, introduced };
}

/** Tokens of a block that belong to at least one run which the text has too. */
function countTaken(block: string[], runs: Set<string>): number {
  let taken = 0;
  let coveredUntil = 0;
  for (let start = 0; start + RUN_TOKENS <= block.length; start += 1) {
    if (!runs.has(runAt(block, start))) continue;
    taken += start + RUN_TOKENS - Math.max(start, coveredUntil);
    coveredUntil = start + RUN_TOKENS;
  }
  return taken;
}

function runAt(tokens: string[], start: number): string {
  return tokens.slice(start, start + RUN_TOKENS).join(' ');
}

function shareIn(wanted: Set<string>, found: Set<string>): number {
  if (wanted.size === 0) return 0;
  let count = 0;
  for (const item of wanted) if (found.has(item)) count += 1;
  return count / wanted.size;
}
