/** The schema of twinpatch.yaml as editors, error messages and the reference page see it. */

import { z } from 'zod';
import { batchConfigSchema } from '../domain/config.ts';

/** A node of the JSON Schema, as far as it is read here. */
export interface SchemaNode {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  pattern?: string;
  format?: string;
  properties?: Record<string, SchemaNode>;
  required?: string[];
  items?: SchemaNode;
  anyOf?: SchemaNode[];
  additionalProperties?: SchemaNode | false;
  propertyNames?: SchemaNode;
}

/** JSON Schema of what a user writes. */
export function configJsonSchema(): SchemaNode {
  const schema = z.toJSONSchema(batchConfigSchema, {
    io: 'input',
    override({ jsonSchema }) {
      // Every integer has this limit; saying so helps nobody.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  return { title: 'twinpatch.yaml', ...schema } as SchemaNode;
}

/** The node at a path, or undefined where the schema has none; array entries are named by their index. */
export function nodeAt(
  root: SchemaNode,
  path: readonly (string | number)[],
): SchemaNode | undefined {
  let node: SchemaNode | undefined = root;
  for (const step of path) {
    if (node?.items && /^\d+$/.test(String(step))) node = node.items;
    else node = childOf(node, String(step));
  }
  return node;
}

/** The keys that a node names. */
export function keysOf(node: SchemaNode | undefined): string[] {
  return [...Object.keys(node?.properties ?? {}), ...(node?.propertyNames?.enum ?? []).map(String)];
}

/** Every key of the schema by its dotted path; `[]` stands for the entries of a list. */
export function everyKey(root: SchemaNode): { path: string; node: SchemaNode }[] {
  const visit = (node: SchemaNode, prefix: string): { path: string; node: SchemaNode }[] => {
    const holder = node.items?.properties ? node.items : node;
    const stem = holder === node ? prefix : `${prefix}[]`;
    return Object.entries(holder.properties ?? {}).flatMap(([key, child]) => {
      const path = stem === '' ? key : `${stem}.${key}`;
      return [{ path, node: child }, ...visit(child, path)];
    });
  };
  return visit(root, '');
}

// --- internal ---

function childOf(node: SchemaNode | undefined, key: string): SchemaNode | undefined {
  if (node?.properties && Object.hasOwn(node.properties, key)) return node.properties[key];
  return node?.additionalProperties || undefined;
}
