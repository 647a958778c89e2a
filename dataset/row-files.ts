/** Files of rows: JSON lines or Parquet, written and read at constant memory. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { parquetMetadataAsync, parquetReadObjects, type AsyncBuffer } from 'hyparquet';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { fromTyped, toParquetSchema, toTyped, type Column } from './columns.ts';
import { renderLine, type Row } from './row.ts';
import type { Json } from './text.ts';

export interface RowFile {
  append(row: Row): Promise<void>;
  /** On the disk; what was written. */
  finish(): Promise<{ bytes: number; sha256: string }>;
  close(): Promise<void>;
}

/** One row a line; columns are as the rows have them. */
export async function openLines(path: string): Promise<RowFile> {
  const file = await openHashed(path);
  const lines = buffered((part) => file.append(Buffer.from(part.join(''))));
  return {
    append: (row) => {
      const line = `${renderLine(row)}\n`;
      return lines.add(line, line.length);
    },
    async finish() {
      await lines.flush();
      return file.finish();
    },
    close: file.close,
  };
}

/** Typed columns, compressed. */
export async function openParquet(path: string, columns: Column[]): Promise<RowFile> {
  const file = await openHashed(path);
  const writer = new ByteWriter(BUFFER_BYTES);
  const parquet = new ParquetWriter({ writer, schema: toParquetSchema(columns) });
  /** What the writer has made so far leaves it, so that it never holds more than a group. */
  const drain = async () => {
    const bytes = Buffer.from(writer.buffer.slice(0, writer.index));
    writer.index = 0;
    await file.append(bytes);
  };
  const group = buffered<Row>(async (rows) => {
    const columnData = columns.map(({ name, type }) => ({
      name,
      data: rows.map((row) => toTyped(row[name], type)),
    }));
    await parquet.write({ columnData, rowGroupSize: rows.length });
    await drain();
  });
  return {
    append: (row) => group.add(row, JSON.stringify(row).length),
    async finish() {
      await group.flush();
      await parquet.finish();
      await drain();
      return file.finish();
    },
    close: file.close,
  };
}

/** Lines with their ends, cut at `\n` only. */
export async function* readLines(path: string): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      yield Buffer.concat([...parts, chunk.subarray(start, end + 1)]);
      parts = [];
      start = end + 1;
    }
    if (start < chunk.length) parts.push(chunk.subarray(start));
  }
  if (parts.length > 0) yield Buffer.concat(parts);
}

/** Rows of a Parquet file, one group in memory at a time; what was JSON is its text. */
export async function* readParquet(path: string, columns: Column[]): AsyncGenerator {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const file: AsyncBuffer = {
      byteLength: size,
      slice: (start, end = size) => readAt(handle, start, end),
    };
    const metadata = await parquetMetadataAsync(file);
    let rowStart = 0;
    for (const { num_rows } of metadata.row_groups) {
      const rowEnd = rowStart + Number(num_rows);
      for (const row of await parquetReadObjects({ file, metadata, rowStart, rowEnd })) {
        const read = columns.map(({ name, type }) => [name, fromTyped(row[name] as Json, type)]);
        yield Object.fromEntries(read);
      }
      rowStart = rowEnd;
    }
  } finally {
    await handle.close();
  }
}

/** Bytes and SHA-256 of a file. */
export async function hashFile(path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    hash.update(chunk);
  }
  return { bytes, sha256: hash.digest('hex') };
}

// --- internal ---

/** Characters of rows that are held before they are written. */
const BUFFER_CHARS = 8 << 20;
const BUFFER_BYTES = 1 << 20;

/** Collects items until they are large enough together. */
function buffered<T>(write: (items: T[]) => Promise<void>) {
  let items: T[] = [];
  let held = 0;
  const flush = async () => {
    if (items.length === 0) return;
    const part = items;
    items = [];
    held = 0;
    await write(part);
  };
  return {
    async add(item: T, chars: number): Promise<void> {
      items.push(item);
      held += chars;
      if (held >= BUFFER_CHARS) await flush();
    },
    flush,
  };
}

async function openHashed(path: string) {
  const handle = await open(path, 'wx');
  const hash = createHash('sha256');
  let bytes = 0;
  return {
    async append(chunk: Buffer): Promise<void> {
      hash.update(chunk);
      bytes += chunk.length;
      await handle.writeFile(chunk);
    },
    async finish() {
      await handle.sync();
      return { bytes, sha256: hash.digest('hex') };
    },
    close: () => handle.close(),
  };
}

async function readAt(handle: FileHandle, start: number, end: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(end - start);
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
  return bytes.buffer.slice(0, bytesRead);
}
