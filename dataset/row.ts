/** What a row of any format holds beside its conversation, and how rows are written as lines. */

import { z } from 'zod';
import { canonicalJson } from '../domain/ids.ts';
import type { Trajectory } from '../domain/trajectory.ts';
import type { Column } from './columns.ts';
import type { Conversation } from './conversation.ts';
import { cleanJson, cleanText, type Json, type JsonObject } from './text.ts';

const share = z.number().min(0).max(1).nullable();

/** The columns that say where a row comes from; `provenance_json` is one text, so that no reader makes up a type for it. */
export const originShape = {
  /** The sample's key. */
  instance_id: z.string().min(1),
  /** The rollout's id. */
  rollout: z.string().min(1),
  recall: z.strictObject({ exact: share, sera: share }),
  /** True where the scripted teacher wrote it: never training data. */
  simulated: z.boolean(),
  provenance_json: z.string(),
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
        { name: 'exact', type: 'double' },
        { name: 'sera', type: 'double' },
      ],
    },
  },
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
  recall: Origin['recall'] | undefined;
  simulated: boolean;
  provenance: Record<string, Json>;
}): Origin {
  return {
    instance_id: cleanText(source.instanceId),
    rollout: cleanText(source.rollout),
    recall: source.recall ?? { exact: null, sera: null },
    simulated: source.simulated,
    provenance_json: canonicalJson(cleanJson(source.provenance)),
  };
}

/** A row's line in a JSONL file, without the line end. Equal rows give equal bytes. */
export function renderLine(row: Row): string {
  const fields = Object.entries(row).map(
    ([name, value]) =>
      `${JSON.stringify(name)}:${name === 'recall' ? renderRecall(value) : JSON.stringify(value)}`,
  );
  // Readers that split text at every line end Unicode knows would cut the row here.
  return `{${fields.join(',')}}`.replace(
    /[\u0085\u2028\u2029]/g,
    (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

// --- internal ---

/** `1.0`, not `1`: Arrow types a column by its first rows, and refuses 0.5 in one of integers. */
function renderRecall(value: Json): string {
  const { exact, sera } = value as { exact: number | null; sera: number | null };
  const decimal = (share: number | null) =>
    share !== null && Number.isInteger(share) ? share.toFixed(1) : String(share);
  return `{"exact":${decimal(exact)},"sera":${decimal(sera)}}`;
}
