/** JSON Lines. */

import type { Storage } from './storage.ts';

const CHUNK_BYTES = 4 << 20;

/** The lines of a text; a half-written last line is normal after a crash and is dropped. */
export function parseLines<T>(text: string): T[] {
  const end = text.lastIndexOf('\n');
  if (end < 0) return [];
  return text
    .slice(0, end)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

/** The whole lines of a file from an offset on; a half-written last one is normal after a crash, and is not there yet. */
export async function* linesFrom(storage: Storage, path: string, from: number) {
  for (let start = from; ;) {
    const chunk = await storage.readFrom(path, start, CHUNK_BYTES);
    const whole = chunk.lastIndexOf('\n') + 1;
    for (let at = 0; at < whole;) {
      const end = chunk.indexOf('\n', at) + 1;
      yield { line: chunk.toString('utf8', at, end - 1), offset: start + at, bytes: end - at };
      at = end;
    }
    if (whole === 0 || chunk.length < CHUNK_BYTES) return;
    start += whole;
  }
}
