/** A multiset of lines of one long text, kept as offsets: a Map of a million strings costs seconds, this a fraction of one. */

/** Small, because a patch of many files has one bag each where recall is by file; both are powers of two. */
const INITIAL_ENTRIES = 64;
const GROWTH = 4;

export class LineBag {
  readonly #text: string;
  // One entry per distinct line: where it stands, its hash, and how many of it are still in the bag.
  #size = 0;
  #starts = new Int32Array(INITIAL_ENTRIES);
  #ends = new Int32Array(INITIAL_ENTRIES);
  #hashes = new Int32Array(INITIAL_ENTRIES);
  #counts = new Int32Array(INITIAL_ENTRIES);
  /** Open addressing: entry number + 1, or 0 where free; a power of two long, twice as many as there is room for entries. */
  #slots = new Int32Array(INITIAL_ENTRIES * 2);

  constructor(text: string) {
    this.#text = text;
  }

  /** Puts the line `text[start, end)` in. */
  add(start: number, end: number): void {
    const hash = hashOf(this.#text, start, end);
    const slot = this.#find(this.#text, start, end, hash);
    const entry = this.#slots[slot]! - 1;
    if (entry >= 0) {
      this.#counts[entry]! += 1;
      return;
    }
    this.#starts[this.#size] = start;
    this.#ends[this.#size] = end;
    this.#hashes[this.#size] = hash;
    this.#counts[this.#size] = 1;
    this.#size += 1;
    this.#slots[slot] = this.#size;
    if (this.#size === this.#starts.length) this.#grow();
  }

  /** Takes one line equal to `other[start, end)` out; false where there is none left. */
  take(other: string, start: number, end: number): boolean {
    const entry = this.#slots[this.#find(other, start, end, hashOf(other, start, end))]! - 1;
    if (entry < 0 || this.#counts[entry] === 0) return false;
    this.#counts[entry]! -= 1;
    return true;
  }

  /** The slot that holds this line, or the free one where it belongs. */
  #find(other: string, start: number, end: number, hash: number): number {
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const entry = this.#slots[slot]! - 1;
      if (entry < 0 || (this.#hashes[entry] === hash && this.#equals(entry, other, start, end))) {
        return slot;
      }
      slot = (slot + 1) & mask;
    }
  }

  #equals(entry: number, other: string, start: number, end: number): boolean {
    const shift = this.#starts[entry]! - start;
    if (this.#ends[entry]! - end !== shift) return false;
    for (let index = start; index < end; index += 1) {
      if (other.charCodeAt(index) !== this.#text.charCodeAt(index + shift)) return false;
    }
    return true;
  }

  #grow(): void {
    const room = this.#size * GROWTH;
    this.#starts = enlarge(this.#starts, room);
    this.#ends = enlarge(this.#ends, room);
    this.#hashes = enlarge(this.#hashes, room);
    this.#counts = enlarge(this.#counts, room);
    this.#slots = new Int32Array(room * 2);
    const mask = this.#slots.length - 1;
    for (let entry = 0; entry < this.#size; entry += 1) {
      let slot = this.#hashes[entry]! & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = entry + 1;
    }
  }
}

// --- internal ---

/** Differs from process to process, so that no patch can be made to collide; no result depends on it. */
const SEED = Math.floor(Math.random() * 2 ** 32);

function hashOf(text: string, start: number, end: number): number {
  let hash = SEED;
  for (let index = start; index < end; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return hash ^ (hash >>> 16);
}

function enlarge(values: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(length);
  larger.set(values);
  return larger;
}
