/** What a row of any format holds beside its conversation, and how rows are written as lines. */

import { z } from 'zod';
import { canonicalJson } from '../domain/ids.ts';
import type { Trajectory } from '../domain/trajectory.ts';
import type { Column } from './columns.ts';
import type { Conversation } from './conversation.ts';
import { cleanJson, cleanText, type Json, type JsonObject } from './text.ts';

/**
 * The columns that say where a row comes from. What may be null or differ from batch to batch, recall included, is in the one
 * text of `provenance_json`: a reader types a column by its first rows, and fails at a later one of another type.
 */
export const originShape = {
  /** The sample's key. */
  instance_id: z.string().min(1),
  /** The rollout's id. */
  rollout: z.string().min(1),
  /** True where the scripted teacher wrote it: never training data. */
  simulated: z.boolean(),
  provenance_json: z.string(),
};

export type Origin = z.infer<z.ZodObject<typeof originShape>>;

/** The columns of `originShape`, for files with types. */
export const ORIGIN_COLUMNS: Column[] = [
  { name: 'instance_id', type: 'string' },
  { name: 'rollout', type: 'string' },
  { name: 'simulated', type: 'boolean' },
  { name: 'provenance_json', type: 'string' },
];

/** One training example before any format. */
export interface Example {
  conversation: Conversation;
  /** What the conversation was made of. */
  trajectory: Trajectory;
  origin: Origin;
}

export type Row = JsonObject;

export function toOrigin(source: {
  instanceId: string;
  rollout: string;
  recall: { exact: number | null; sera: number | null } | undefined;
  simulated: boolean;
  provenance: Record<string, Json>;
}): Origin {
  return {
    instance_id: cleanText(source.instanceId),
    rollout: cleanText(source.rollout),
    simulated: source.simulated,
    provenance_json: canonicalJson({
      ...cleanJson(source.provenance),
      recall: source.recall ?? { exact: null, sera: null },
    }),
  };
}

/** A row's line in a JSONL file, without the line end. Equal rows give equal bytes. */
export function renderLine(row: Row): string {
  // Readers that split text at every line end Unicode knows would cut the row here.
  return JSON.stringify(row).replace(
    /[\u0085\u2028\u2029]/g,
    (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
