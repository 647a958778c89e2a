/** What a row of any format holds beside its conversation, and how rows are written as lines. */

import { z } from 'zod';
import type { Trajectory } from '../domain/trajectory.ts';
import type { Column } from './columns.ts';
import type { Conversation } from './conversation.ts';
import { cleanJson, cleanText, type Json, type JsonObject, parseJsonObject } from './text.ts';

/** Fields that differ from batch to batch; where a file has types they are one JSON text, so that every batch fits. */
const provenance = z.union([
  z.record(z.string(), z.json()),
  z.string().transform((text, context) => {
    const read = parseJsonObject(text);
    if (read === undefined) context.addIssue({ code: 'custom', message: 'is no JSON object' });
    return read ?? z.NEVER;
  }),
]);

/** The columns that say where a row comes from. */
export const originShape = {
  /** The sample's key. */
  instance_id: z.string().min(1),
  /** The rollout's id. */
  rollout: z.string().min(1),
  /** Of the sample; null where nothing counts, and in a T1 without a second rollout. */
  recall: z.object({
    exact: z.number().nullable().default(null),
    sera: z.number().nullable().default(null),
  }),
  /** True where the scripted teacher wrote it: never training data. */
  simulated: z.boolean(),
  provenance,
};

export type Origin = z.infer<z.ZodObject<typeof originShape>>;

/** The columns of `originShape`, for files with types. */
export const ORIGIN_COLUMNS: Column[] = [
  { name: 'instance_id', type: 'string' },
  { name: 'rollout', type: 'string' },
  {
    name: 'recall',
    type: {
      struct: [
        { name: 'exact', type: 'number' },
        { name: 'sera', type: 'number' },
      ],
    },
  },
  { name: 'simulated', type: 'boolean' },
  { name: 'provenance', type: 'json' },
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
    recall: source.recall ?? { exact: null, sera: null },
    simulated: source.simulated,
    provenance: cleanJson(source.provenance),
  };
}

/** A row's line in a JSONL file, without the line end. Equal rows give equal bytes. */
export function renderLine(row: Row): string {
  return (
    JSON.stringify(row)
      // Readers that split text at every line end Unicode knows would cut the row here.
      .replace(
        /[\u0085\u2028\u2029]/g,
        (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`,
      )
      // Readers type a column by its first values: files whose recalls are all 1 would hold integers, and fit no other.
      .replace(/"recall":\{"exact":[^,{}]*,"sera":[^,{}]*\}/, (recall) =>
        recall.replace(/:([01])(?=[,}])/g, ':$1.0'),
      )
  );
}
