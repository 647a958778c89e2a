/** What a store is kept in: named contents and growing logs. A folder or a bucket; the rest of the store does not tell them apart. */

import type { AppendLog } from './append-log.ts';

/**
 * Paths are relative, with `/` between names. Throws StoreUnavailable, with the reason and the next step, where it can't be used
 * just now.
 */
export interface Storage {
  /** Where it is, for people. */
  readonly location: string;
  /** A path as people find it. */
  placeOf(path: string): string;

  /** Writes what must not exist yet; returns false, and writes nothing, when it does. Durable, and whole, when it returns. */
  writeOnce(path: string, content: string | Uint8Array): Promise<boolean>;
  /** Writes or replaces; readers see the old or the new content, never a part. */
  replace(path: string, content: string | Uint8Array): Promise<void>;
  /** Writes a stream, without holding it in memory, to the path that its SHA-256 gives; returns that hash, in hex. */
  writeHashed(
    stream: AsyncIterable<Uint8Array>,
    pathOf: (sha256: string) => string,
  ): Promise<string>;

  read(path: string): Promise<Buffer | undefined>;
  /** What is there from an offset on, or the last bytes for a negative one; so many at most, nothing when it is missing. */
  readFrom(path: string, offset: number, maxBytes?: number): Promise<Buffer>;
  stream(path: string): Promise<NodeJS.ReadableStream>;
  has(path: string): Promise<boolean>;
  /** Names in a folder, sorted; none when it is missing. */
  list(folder: string): Promise<string[]>;

  remove(path: string): Promise<void>;
  removeTree(folder: string): Promise<void>;

  /** Notes that its writer is alive. */
  touch(path: string): Promise<void>;
  /** Milliseconds since it was touched or written; undefined when it is missing. */
  ageMs(path: string): Promise<number | undefined>;

  /** A file of JSON lines that only its one writer appends to; others see the lines at once, or after some time. */
  log(path: string): AppendLog;
  /** Lines of this process in a folder, beside those of others. Synced, they are seen by all. */
  lines(folder: string): AppendLog;

  /** Has others see all that this host has of a log. */
  share(path: string): Promise<void>;

  /** Clears away what interrupted writers left, and has others see what dead processes of this host wrote. */
  tidy(): Promise<void>;
  /** Has others see all that this process wrote. */
  close(): Promise<void>;
}
