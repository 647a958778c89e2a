/** Reads records of a stream of bytes: up to a separator, or of a known length. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  constructor(stream: AsyncIterable<unknown>) {
    this.#chunks = (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  /** Bytes before the next separator, which is consumed; undefined at the end. */
  async until(separator: number): Promise<Buffer | undefined> {
    for (let from = 0; ;) {
      const at = this.#rest.indexOf(separator, from);
      if (at !== -1) return this.#take(at, at + 1);
      from = this.#rest.length;
      const { value, done } = await this.#chunks.next();
      if (done === true) return undefined;
      this.#rest = from === 0 ? value : Buffer.concat([this.#rest, value]);
    }
  }

  /** The next line as text; undefined at the end. */
  async line(): Promise<string | undefined> {
    return (await this.until(0x0a))?.toString('latin1');
  }

  /** The next `length` bytes. Throws when the stream ends before. */
  async exactly(length: number): Promise<Buffer> {
    if (this.#rest.length >= length) return this.#take(length, length);
    const parts = [this.#rest];
    let have = this.#rest.length;
    while (have < length) {
      const { value, done } = await this.#chunks.next();
      if (done === true) throw new Error(`the stream ended ${length - have} bytes early`);
      parts.push(value);
      have += value.length;
    }
    this.#rest = Buffer.concat(parts, have);
    return this.#take(length, length);
  }

  /** Passes over the next `length` bytes without keeping them. Throws when the stream ends before. */
  async skip(length: number): Promise<void> {
    let left = length;
    while (left > this.#rest.length) {
      left -= this.#rest.length;
      const { value, done } = await this.#chunks.next();
      if (done === true) throw new Error(`the stream ended ${left} bytes early`);
      this.#rest = value;
    }
    this.#take(left, left);
  }

  #take(end: number, next: number): Buffer {
    const taken = this.#rest.subarray(0, end);
    this.#rest = this.#rest.subarray(next);
    return taken;
  }
}
