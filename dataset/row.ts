/** One exported training example, in the flat Hermes form that axolotl, TRL, Unsloth and LLaMA-Factory all train alike. */

import { z } from 'zod';
import { canonicalJson } from '../domain/ids.ts';

const share = z.number().min(0).max(1).nullable();

/** `train` is there on every message, false where the trainer shall not learn it: readers want one shape in the whole file. */
const messageSchema = z.strictObject({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string(),
  train: z.boolean(),
});

export const rowSchema = z.strictObject({
  messages: z.array(messageSchema).min(3),
  /** JSON text of the tool list; not named `tools`, because trainers would add a second tool prompt for that. */
  tool_json: z.string(),
  /** The sample's key. */
  instance_id: z.string().min(1),
  /** The rollout's id. */
  rollout: z.string().min(1),
  recall: z.strictObject({ exact: share, sera: share }),
  /** True where the scripted teacher wrote it: never training data. */
  simulated: z.boolean(),
  provenance: z.record(z.string(), z.json()),
});

export type RowMessage = z.infer<typeof messageSchema>;
export type Row = z.infer<typeof rowSchema>;
export type Json = z.infer<ReturnType<typeof z.json>>;

/** A row's line in a JSONL file, without the line end. Equal rows give equal bytes. */
export function renderLine(row: Row): string {
  const { exact, sera } = row.recall;
  const fields = [
    `"messages":${JSON.stringify(row.messages)}`,
    `"tool_json":${JSON.stringify(row.tool_json)}`,
    `"instance_id":${JSON.stringify(row.instance_id)}`,
    `"rollout":${JSON.stringify(row.rollout)}`,
    `"recall":{"exact":${toDecimal(exact)},"sera":${toDecimal(sera)}}`,
    `"simulated":${row.simulated}`,
    `"provenance":${canonicalJson(row.provenance)}`,
  ];
  // Readers that split text at every line end Unicode knows would cut the row here.
  return `{${fields.join(',')}}`.replace(
    /[\u0085\u2028\u2029]/g,
    (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Text that every JSON reader and tokenizer takes: no NUL, no half of a surrogate pair. */
export function cleanText(text: string): string {
  return text.replaceAll('\0', '').replace(/\p{Surrogate}/gu, '\ufffd');
}

/** The same value with every string in it, keys included, cleaned. */
export function cleanJson<T extends Json>(value: T): T;
export function cleanJson(value: Json): Json {
  if (typeof value === 'string') return cleanText(value);
  if (Array.isArray(value)) return value.map((item) => cleanJson(item));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [cleanText(key), cleanJson(item)]),
  );
}

// --- internal ---

/** `1.0`, not `1`: Arrow types a column by its first rows, and refuses 0.5 in one of integers. */
function toDecimal(value: number | null): string {
  return value !== null && Number.isInteger(value) ? value.toFixed(1) : String(value);
}
