/** What zod finds wrong with a configuration, as a person reads it. */

import { closest, distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { everyKey, keysOf, nodeAt, type SchemaNode } from './config-schema.ts';

/** A problem and the key it is about; the key need not exist. */
export interface ConfigIssue {
  path: (string | number)[];
  reason: string;
  /** The problem is the key, not its value. */
  isKey: boolean;
}

/** Messages where the schema has none of its own: what was expected, and what was found. */
export const configErrorMap: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'is required';
      if (issue.input === null) return 'has no value; give one or remove the key';
      return `expected ${EXPECTED[issue.expected] ?? issue.expected}, found ${show(issue.input)}`;
    case 'invalid_value': {
      const values = issue.values.map(String);
      const near = typeof issue.input === 'string' ? nearest(issue.input, values) : undefined;
      const hint = near === undefined ? '' : `; did you mean \`${near}\`?`;
      const one = values.length === 1 ? '' : 'one of ';
      return `expected ${one}${list(values)}, found ${show(issue.input)}${hint}`;
    }
    case 'too_small':
      if (issue.origin === 'string') return 'must not be empty';
      if (issue.origin === 'array') return 'must have at least one entry';
      return `must be ${issue.inclusive ? 'at least' : 'greater than'} ${issue.minimum}, found ${show(issue.input)}`;
    case 'too_big':
      return `must be at most ${issue.maximum}, found ${show(issue.input)}`;
    default:
      return undefined;
  }
};

/** The issues one by one, with the nearest valid key for each unknown one. */
export function toConfigIssues(issues: z.core.$ZodIssue[], schema: SchemaNode): ConfigIssue[] {
  return issues.flatMap((issue): ConfigIssue[] => {
    const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        path: [...path, key],
        reason: describeUnknownKey(path, key, schema),
        isKey: true,
      }));
    }
    if (issue.code === 'invalid_key') {
      return [{ path, reason: issue.issues[0]?.message ?? issue.message, isKey: true }];
    }
    return [{ path, reason: issue.message, isKey: false }];
  });
}

/** Why a key that the schema does not have is none, with the valid one that is nearest, here or elsewhere. */
export function describeUnknownKey(
  path: readonly (string | number)[],
  key: string,
  schema: SchemaNode,
): string {
  const here = keysOf(nodeAt(schema, path));
  const same = here.find((each) => plain(each) === plain(key));
  if (same !== undefined) return `unknown key; did you mean \`${same}\`?`;
  const elsewhere = everyKey(schema).find((each) => plain(lastKey(each.path)) === plain(key));
  if (elsewhere !== undefined) return `unknown key here; did you mean \`${elsewhere.path}\`?`;
  const near = nearest(key, here);
  if (near !== undefined) return `unknown key; did you mean \`${near}\`?`;
  return here.length === 0
    ? 'unknown key; no keys are known here'
    : `unknown key; known here: ${list(here)}`;
}

// --- internal ---

const EXPECTED: Record<string, string> = {
  int: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  object: 'keys and values',
  record: 'keys and values',
};

const MAX_SHOWN_CHARS = 40;
/** Nobody mistypes at this length. */
const MAX_WORD_CHARS = 100;

function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (value !== null && typeof value === 'object') return 'keys and values';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)}…` : text;
}

function list(names: string[]): string {
  return names.map((name) => `\`${name}\``).join(', ');
}

/** `max_steps`, `MaxSteps` and `maxSteps` are one. */
function plain(key: string): string {
  return key.toLowerCase().replaceAll(/[-_]/g, '');
}

function lastKey(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}

function nearest(word: string, candidates: string[]): string | undefined {
  if (candidates.length === 0 || word.length > MAX_WORD_CHARS) return undefined;
  const longer = candidates.find((each) => word.length >= 4 && plain(each).startsWith(plain(word)));
  if (longer !== undefined) return longer;
  const near = closest(word, candidates);
  return distance(word.toLowerCase(), near.toLowerCase()) <= Math.max(2, word.length / 3)
    ? near
    : undefined;
}
