/** What every format of rows is. */

import { z } from 'zod';
import type { Column } from '../columns.ts';
import type { Conversation } from '../conversation.ts';
import type { Example, Origin, Row } from '../row.ts';

/** A row that is not of the format's making; the message says what is wrong with it. */
export class RowError extends Error {
  override readonly name = 'RowError';
}

/** Why a conversation can't be told in a format without losing something. */
export type FormatLoss =
  /** A text holds a tag of this very format. */
  | 'chat-tokens'
  /** The form can't tell an argument's type. */
  | 'untyped-argument'
  /** The form has no way to say that a reply is not trained on. */
  | 'untrained-reply'
  /** The form can't tell this order of turns. */
  | 'order';

export interface Format {
  name: string;
  /** Undefined where `parse` gives back the very conversation. */
  lossOf(conversation: Conversation): FormatLoss | undefined;
  render(example: Example): Row;
  /** The conversation and the origin of a row, read from what a trainer reads. Throws RowError. */
  parse(row: unknown): { conversation: Conversation; origin: Origin };
  /** Of the row, in order; none where the format is for JSON only. */
  columns: Column[] | undefined;
}

/** The value as the schema has it. Throws RowError. */
export function readAs<T>(schema: z.ZodType<T>, value: unknown, what?: string): T {
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  throw new RowError(`${what === undefined ? '' : `${what} `}${z.prettifyError(read.error)}`);
}

/** The value of a JSON text as the schema has it. Throws RowError. */
export function readJson<T>(schema: z.ZodType<T>, text: string, what: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RowError(`${what} is not JSON`);
  }
  return readAs(schema, value, `${what} is not what it should be:`);
}

/** A list of OpenAI function tools. */
export const toolsSchema = z.array(z.record(z.string(), z.json()));
