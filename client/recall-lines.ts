/** Recall of many pairs: JSON lines in, JSON lines out, in order and with bounded memory. */

import { isUtf8 } from 'node:buffer';
import { recall, type RecallFigures } from '../domain/recall.ts';

/** A longer line is refused. */
export const MAX_LINE_BYTES = 256 * 1024 ** 2;

export interface Figures {
  exact: RecallFigures;
  sera: RecallFigures;
}

/** `id` is null where the line does not tell it. */
export type RecallAnswer =
  | ({ id: string | number } & Figures)
  | { id: string | number | null; error: string };

export function bothRecalls(target: string, produced: string): Figures {
  return { exact: recall(target, produced, 'exact'), sera: recall(target, produced, 'sera') };
}

/** One answer per line that is not blank, with the line's number from 1. */
export async function* answerLines(
  input: AsyncIterable<Uint8Array | string>,
  maxLineBytes = MAX_LINE_BYTES,
): AsyncGenerator<{ line: number; answer: RecallAnswer }> {
  let number = 0;
  for await (const bytes of splitLines(input, maxLineBytes)) {
    number += 1;
    if (bytes === 'too long') {
      const error = `the line is longer than ${maxLineBytes} bytes`;
      yield { line: number, answer: { id: null, error } };
    } else if (!isBlank(bytes)) {
      yield { line: number, answer: answer(bytes) };
    }
  }
}

// --- internal ---

/** Lines without their ends; what is longer than the cap is read over, and said. */
async function* splitLines(
  input: AsyncIterable<Uint8Array | string>,
  maxLineBytes: number,
): AsyncGenerator<Buffer | 'too long'> {
  let parts: Buffer[] = [];
  let length = 0;
  const take = (): Buffer | 'too long' => {
    const line = length > maxLineBytes ? 'too long' : Buffer.concat(parts, length);
    parts = [];
    length = 0;
    return line;
  };
  const add = (part: Buffer) => {
    length += part.length;
    if (length <= maxLineBytes) parts.push(part);
    else parts = [];
  };
  for await (const chunk of input) {
    const bytes = Buffer.from(chunk as Uint8Array);
    let start = 0;
    for (let end; (end = bytes.indexOf(LINE_FEED, start)) !== -1; start = end + 1) {
      add(bytes.subarray(start, end));
      yield take();
    }
    if (start < bytes.length) add(bytes.subarray(start));
  }
  if (length > 0) yield take();
}

const LINE_FEED = 0x0a;

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

function answer(bytes: Buffer): RecallAnswer {
  if (!isUtf8(bytes)) return { id: null, error: 'the line is not UTF-8' };
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8').replace(/^\uFEFF/, ''));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { id: null, error: `the line is not JSON: ${why.slice(0, 200)}` };
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    return { id: null, error: 'the line is no JSON object' };
  }
  const { id, target, produced } = value as Record<string, unknown>;
  if (typeof id !== 'string' && typeof id !== 'number') {
    return { id: null, error: `\`id\` ${lack(id)}; expected a text or a number` };
  }
  if (typeof target !== 'string')
    return { id, error: `\`target\` ${lack(target)}; expected a text` };
  if (typeof produced !== 'string') {
    return { id, error: `\`produced\` ${lack(produced)}; expected a text` };
  }
  return { id, ...bothRecalls(target, produced) };
}

function lack(value: unknown): string {
  return value === undefined ? 'is missing' : 'is of another type';
}
