/** MinHash: a few hundred bytes of a set tell how much of it another set has, so that no two texts need to be in memory together. */

import { DIGIT, kindOf, LETTER, LINE_END, SPACE } from './characters.ts';

/** Numbers of a signature; a power of two. */
export const BINS = 128;

/** Of a set of hashes; equal sets have equal signatures. */
export type Signature = Uint32Array;

/**
 * The signature of a set of 32-bit hashes, repeated ones counted once; undefined for the empty set. One hash per item and one bin
 * for each (one permutation hashing); bins that stay empty take the value of another one, the same in every set (Shrivastava,
 * "Optimal Densification for Fast and Accurate Minwise Hashing", 2017).
 */
export function signatureOf(hashes: Iterable<number>): Signature | undefined {
  const bins = new Uint32Array(BINS).fill(EMPTY);
  let filled = 0;
  for (const hash of hashes) {
    const bin = mix(hash) & (BINS - 1);
    const value = mix(hash ^ VALUE_SEED) >>> 1;
    if (bins[bin] === EMPTY) filled += 1;
    if (value < bins[bin]!) bins[bin] = value;
  }
  if (filled === 0) return undefined;
  const signature = Uint32Array.from(bins);
  for (let bin = 0; bin < BINS; bin += 1) {
    for (let attempt = 1; signature[bin] === EMPTY; attempt += 1)
      signature[bin] = bins[mix(bin + attempt * BINS) & (BINS - 1)]!;
  }
  return signature;
}

/** Estimates |a ∩ b| / |a ∪ b| of the sets, from 0 to 1; the standard error is 0.044 at 0.5 and 0.035 at 0.8. */
export function similarity(a: Signature, b: Signature): number {
  let equal = 0;
  for (let bin = 0; bin < BINS; bin += 1) if (a[bin] === b[bin]) equal += 1;
  return equal / BINS;
}

/** Hashes of every `size` words that follow each other in one of the texts; of all its words where it has fewer. A mark is a word. */
export function* shingles(texts: Iterable<string>, size: number): Generator<number> {
  for (const text of texts) {
    const words: number[] = [];
    for (let at = 0; at < text.length;) {
      if (isSpace(text.charCodeAt(at))) {
        at += 1;
        continue;
      }
      let hash = FNV_START;
      const start = at;
      do {
        hash = Math.imul(hash ^ text.charCodeAt(at), FNV_PRIME);
        at += 1;
      } while (at < text.length && isWord(text.charCodeAt(start)) && isWord(text.charCodeAt(at)));
      words.push(hash);
      if (words.length > size) words.shift();
      if (words.length === size) yield combine(words);
    }
    if (words.length > 0 && words.length < size) yield combine(words);
  }
}

/** Murmur3's finalizer: every bit of a 32-bit number changes every bit of the result. */
export function mix(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

// --- internal ---

/** More than any value, which has 31 bits. */
const EMPTY = 0xffff_ffff;
const VALUE_SEED = 0x5bd1_e995;
const FNV_START = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const UNDERSCORE = 0x5f;

function isSpace(unit: number): boolean {
  const kind = kindOf(unit);
  return kind === SPACE || kind === LINE_END;
}

function isWord(unit: number): boolean {
  const kind = kindOf(unit);
  return kind === LETTER || kind === DIGIT || unit === UNDERSCORE;
}

function combine(words: number[]): number {
  return words.reduce((hash, word) => mix(Math.imul(hash, 31) ^ word), words.length);
}
