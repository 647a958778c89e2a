/** Lines of one long text, kept as offsets: a Map of a million strings costs seconds, this a fraction of one. */

/** The UTF-16 units of a text, with the same indices: an array is read several times as fast as a string. */
export type Units = Uint8Array | Uint16Array;

/** The units of a text; a byte each where it is ASCII, as patches mostly are. */
export function toUnits(text: string): Units {
  const bytes = new TextEncoder().encode(text);
  // Every other character has more bytes than units.
  if (bytes.length === text.length) return bytes;
  const units = new Uint16Array(text.length);
  for (let index = 0; index < text.length; index += 1) units[index] = text.charCodeAt(index);
  return units;
}

/** Small, because a patch of many files has one list each where recall is by file. */
const INITIAL_LENGTH = 64;

export class LineList {
  readonly units: Units;
  length = 0;
  starts = new Int32Array(INITIAL_LENGTH);
  ends = new Int32Array(INITIAL_LENGTH);
  hashes = new Int32Array(INITIAL_LENGTH);

  constructor(units: Units) {
    this.units = units;
  }

  /** Adds the line `[start, end)`, which has at least one character. */
  add(start: number, end: number): void {
    if (this.length === this.starts.length) {
      this.starts = doubled(this.starts);
      this.ends = doubled(this.ends);
      this.hashes = doubled(this.hashes);
    }
    this.starts[this.length] = start;
    this.ends[this.length] = end;
    this.hashes[this.length] = hashOf(this.units, start, end);
    this.length += 1;
  }
}

/** How many lines two lists have in common, each line counted as often as it is in both; equal hashes are never enough. */
export function countCommon(a: LineList, b: LineList): number {
  const slots = new Int32Array(slotsFor(a.length) * WIDTH);
  /** By line of `a` that is the first of its kind: how many of the kind are not used up. */
  const left = new Int32Array(a.length);
  for (let line = 0; line < a.length; line += 1) {
    const hash = a.hashes[line]!;
    const at = settle(slots, a, a, line, seek(slots, hash, homeOf(hash)));
    if (slots[at + LINE] === 0) {
      slots[at] = hash;
      slots[at + LINE] = line + 1;
    }
    left[slots[at + LINE]! - 1]! += 1;
  }
  let common = 0;
  // With a million lines nearly every slot comes from main memory: sought without a look at the texts, many come at once.
  const sought = new Int32Array(BLOCK);
  for (let from = 0; from < b.length; from += BLOCK) {
    const size = Math.min(BLOCK, b.length - from);
    for (let index = 0; index < size; index += 1) {
      const hash = b.hashes[from + index]!;
      sought[index] = seek(slots, hash, homeOf(hash));
    }
    for (let index = 0; index < size; index += 1) {
      const at = settle(slots, a, b, from + index, sought[index]!);
      const known = slots[at + LINE]! - 1;
      if (known < 0 || left[known] === 0) continue;
      left[known]! -= 1;
      common += 1;
    }
  }
  return common;
}

// --- internal ---

/** Open addressing. A slot is a hash and a line number + 1, which is 0 where the slot is free. */
const WIDTH = 2;
const LINE = 1;
const BLOCK = 64;

/** A power of two, at most half of it used. */
function slotsFor(lines: number): number {
  let size = 2;
  while (size < lines * 2) size *= 2;
  return size;
}

/** Where a hash is looked for first. */
function homeOf(hash: number): number {
  return hash << 1; // times WIDTH, within 32 bits
}

/** The first slot from a place on that has the hash or is free. */
function seek(slots: Int32Array, hash: number, from: number): number {
  const mask = slots.length - 1;
  let at = from & mask;
  while (slots[at + LINE] !== 0 && slots[at] !== hash) at = (at + WIDTH) & mask;
  return at;
}

/** The slot, from one with its hash on, that holds a line of `list`, or the free one where it belongs; slots hold lines of `a`. */
function settle(slots: Int32Array, a: LineList, list: LineList, line: number, from: number) {
  let at = from;
  while (slots[at + LINE] !== 0 && !areEqual(a, slots[at + LINE]! - 1, list, line)) {
    at = seek(slots, list.hashes[line]!, at + WIDTH);
  }
  return at;
}

function areEqual(a: LineList, lineOfA: number, b: LineList, lineOfB: number): boolean {
  const startOfA = a.starts[lineOfA]!;
  const startOfB = b.starts[lineOfB]!;
  const length = a.ends[lineOfA]! - startOfA;
  if (b.ends[lineOfB]! - startOfB !== length) return false;
  for (let index = 0; index < length; index += 1) {
    if (a.units[startOfA + index] !== b.units[startOfB + index]) return false;
  }
  return true;
}

/** Differs from process to process, so that no patch can be made to collide; no result depends on it. */
const SEED = Math.floor(Math.random() * 2 ** 32);

function hashOf(units: Units, start: number, end: number): number {
  let hash = SEED;
  for (let index = start; index < end; index += 1) {
    hash = Math.imul(hash ^ units[index]!, 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return hash ^ (hash >>> 16);
}

function doubled(values: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(values.length * 2);
  larger.set(values);
  return larger;
}
