/** The types of a format's columns, told once: Parquet's schema and the card's features are made of them. */

import type { SchemaElement } from 'hyparquet';
import { isJsonObject, type Json } from './text.ts';

export interface Column {
  name: string;
  type: ColumnType;
}

/** `json`: any value; where a file has types, its JSON text. */
export type ColumnType =
  | 'string'
  | 'boolean'
  | 'number'
  | 'json'
  | { list: ColumnType }
  | { struct: Column[] };

/** The Parquet schema, depth first, root included. Everything may be null, as in what Arrow reads from JSON. */
export function toParquetSchema(columns: Column[]): SchemaElement[] {
  return [{ name: 'root', num_children: columns.length }, ...columns.flatMap(toElements)];
}

/** A value as the column holds it: keys that are missing are null, JSON is text. */
export function toTyped(value: Json | undefined, type: ColumnType): Json {
  if (value === undefined || value === null) return null;
  if (type === 'json') return typeof value === 'string' ? value : JSON.stringify(value);
  if (typeof type === 'string') return value;
  if ('list' in type) return (value as Json[]).map((item) => toTyped(item, type.list));
  const fields = isJsonObject(value) ? value : {};
  return Object.fromEntries(
    type.struct.map((field) => [field.name, toTyped(fields[field.name], field.type)]),
  );
}

/** What `toTyped` was given, but for JSON, which stays text. */
export function fromTyped(value: Json | undefined, type: ColumnType): Json | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof type === 'string') return value;
  if ('list' in type) return (value as Json[]).map((item) => fromTyped(item, type.list) ?? null);
  const fields = isJsonObject(value) ? value : {};
  const read = type.struct.map(
    (field) => [field.name, fromTyped(fields[field.name], field.type)] as const,
  );
  return Object.fromEntries(
    read.filter((entry): entry is [string, Json] => entry[1] !== undefined),
  );
}

/** The types as the header of a dataset card names them (YAML lines), so that no loader guesses them from the first rows. */
export function renderFeatures(columns: Column[], indent = '  '): string {
  return columns
    .map(({ name, type }) => {
      if (typeof type === 'string')
        return `${indent}- name: ${name}\n${indent}  dtype: ${DTYPES[type]}\n`;
      if ('struct' in type)
        return `${indent}- name: ${name}\n${indent}  struct:\n${renderFeatures(type.struct, `${indent}  `)}`;
      if (typeof type.list === 'string')
        return `${indent}- name: ${name}\n${indent}  list: ${DTYPES[type.list]}\n`;
      return 'struct' in type.list
        ? `${indent}- name: ${name}\n${indent}  list:\n${renderFeatures(type.list.struct, `${indent}  `)}`
        : '';
    })
    .join('');
}

// --- internal ---

const DTYPES = { string: 'string', boolean: 'bool', number: 'float64', json: 'string' } as const;

function toElements({ name, type }: Column): SchemaElement[] {
  const repetition_type = 'OPTIONAL' as const;
  if (type === 'string' || type === 'json')
    return [{ name, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type }];
  if (type === 'boolean') return [{ name, type: 'BOOLEAN', repetition_type }];
  if (type === 'number') return [{ name, type: 'DOUBLE', repetition_type }];
  if ('list' in type) {
    return [
      { name, num_children: 1, converted_type: 'LIST', repetition_type },
      { name: 'list', num_children: 1, repetition_type: 'REPEATED' },
      ...toElements({ name: 'element', type: type.list }),
    ];
  }
  return [
    { name, num_children: type.struct.length, repetition_type },
    ...type.struct.flatMap(toElements),
  ];
}
