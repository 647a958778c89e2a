/** Arguments of a tool call: the JSON object that a text means, by named rules, or none. */

import type { RepairRule } from '../domain/trajectory.ts';
import { asRecord, asText, parseJson } from './json.ts';

export interface ReadArguments {
  object: Record<string, unknown>;
  /** Rules that were needed, in order. */
  rules: RepairRule[];
}

/** The object that a text means; undefined where it has no meaning, or more than one. `schema` is the tool's own. */
export function readArguments(
  value: unknown,
  schema: Record<string, unknown>,
): ReadArguments | undefined {
  const isText = typeof value === 'string';
  if (value === undefined || value === null || (isText && value.trim() === '')) {
    return { object: {}, rules: ['no-arguments'] };
  }
  const found = isText ? readText(value, 0) : toObject(value, ['object-arguments']);
  if (found === undefined) return undefined;
  return fitTo(schema, found);
}

/** The JSON object of a text, whatever its form; undefined where there is none, or more than one. */
export function readObject(text: string): ReadArguments | undefined {
  return readText(text, 0);
}

// --- internal ---

const MAX_NESTING = 2;

function toObject(value: unknown, rules: RepairRule[]): ReadArguments | undefined {
  const isObject = value !== null && typeof value === 'object' && !Array.isArray(value);
  return isObject ? { object: value as Record<string, unknown>, rules } : undefined;
}

function readText(text: string, nesting: number): ReadArguments | undefined {
  const value = parseJson(text);
  if (value === undefined) return readBroken(text);
  if (typeof value !== 'string' || nesting === MAX_NESTING) return toObject(value, []);
  return withRule('nested-text', readText(value, nesting + 1));
}

function readBroken(text: string): ReadArguments | undefined {
  const [, fenced] = /^\s*```(?:json)?\s*\n?([^]*?)\s*```\s*$/.exec(text) ?? [];
  if (fenced !== undefined) return withRule('code-fence', readText(fenced, MAX_NESTING));
  const scanned = scanObjects(text);
  if (scanned === undefined) return undefined;
  const objects = scanned.objects.map((each) => parseJson(each));
  if (objects.some((each) => each === undefined)) return undefined;
  const { rules } = scanned;
  const [first, ...others] = objects;
  if (others.length === 0) return toObject(first, rules);
  const meant = objects.filter((each) => Object.keys(asRecord(each)).length > 0);
  const texts = new Set(meant.map((each) => JSON.stringify(each)));
  if (texts.size > 1) return undefined;
  if (meant.length === 0) return toObject(first, [...rules, 'repeated-object']);
  return toObject(meant[0], [
    ...rules,
    ...(meant.length < objects.length ? (['empty-object'] as const) : []),
    ...(meant.length > 1 ? (['repeated-object'] as const) : []),
  ]);
}

function withRule(rule: RepairRule, found: ReadArguments | undefined): ReadArguments | undefined {
  return found && { object: found.object, rules: [rule, ...found.rules] };
}

const ESCAPES: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
/** What may follow an object without a meaning of its own: what is left of quotes, brackets and tags around it. */
const LEFTOVER = /^(?:["'`}\])\s]|<\/[a-z_]+>|<\|[a-z_]+\|>)*$/;

/** The complete objects a text is made of, with what is no JSON about their inside put right; undefined where something else is between. */
function scanObjects(text: string): { objects: string[]; rules: RepairRule[] } | undefined {
  const rules = new Set<RepairRule>();
  const objects: string[] = [];
  let object = '';
  let depth = 0;
  let inString = false;
  let at = 0;
  for (; at < text.length; at += 1) {
    const char = text[at]!;
    if (depth === 0) {
      if (char === '{') {
        depth = 1;
        object = char;
      } else if (!/\s/.test(char)) break;
      continue;
    }
    if (inString) {
      if (char === '\\') {
        object += char + (text[at + 1] ?? '');
        at += 1;
        continue;
      }
      const escaped = ESCAPES[char];
      if (escaped !== undefined) rules.add('control-characters');
      object += escaped ?? char;
      if (char === '"') inString = false;
      continue;
    }
    if (char === '"') inString = true;
    if (char === '{' || char === '[') depth += 1;
    if (char === '}' || char === ']') {
      depth -= 1;
      const trimmed = object.trimEnd();
      if (trimmed.endsWith(',')) {
        rules.add('trailing-comma');
        object = trimmed.slice(0, -1);
      }
    }
    object += char;
    if (depth === 0) objects.push(object);
  }
  if (depth > 0 || objects.length === 0) return undefined;
  const rest = text.slice(at);
  if (rest.trim() !== '') {
    if (!LEFTOVER.test(rest)) return undefined;
    rules.add('trailing-text');
  }
  return { objects, rules: [...rules] };
}

const CALL_FIELDS = ['arguments', 'parameters', 'input'];

/** Puts right what a tool's own schema tells: the call within itself, nulls for what may be left out, values as text. */
function fitTo(schema: Record<string, unknown>, found: ReadArguments): ReadArguments {
  const properties = asRecord(schema['properties']);
  const required = new Set(Array.isArray(schema['required']) ? schema['required'] : []);
  const { object, rules } = unwrapped(found, properties);
  const fitted = new Set(rules);
  const entries = Object.entries(object).flatMap(([name, value]): [string, unknown][] => {
    if (!Object.hasOwn(properties, name)) return [[name, value]];
    if (value === null && !required.has(name)) {
      fitted.add('null-argument');
      return [];
    }
    const meant = valueOf(value, asText(asRecord(properties[name])['type']));
    if (meant !== value) fitted.add('value-as-text');
    return [[name, meant]];
  });
  return { object: Object.fromEntries(entries), rules: [...fitted] };
}

function unwrapped(found: ReadArguments, properties: Record<string, unknown>): ReadArguments {
  const names = Object.keys(found.object);
  const [inner, ...others] = names.filter((name) => CALL_FIELDS.includes(name));
  const isCall =
    inner !== undefined &&
    others.length === 0 &&
    names.every((name) => name === inner || name === 'name') &&
    !Object.hasOwn(properties, inner);
  if (!isCall) return found;
  const value = found.object[inner];
  const read = typeof value === 'string' ? readText(value, 1) : toObject(value, []);
  if (read === undefined) return found;
  return { object: read.object, rules: [...found.rules, 'nested-call', ...read.rules] };
}

/** The value that a text stands for where the tool wants none. */
export function valueOf(value: unknown, type: string): unknown {
  if (typeof value !== 'string' || type === 'string') return value;
  const meant = parseJson(value);
  const fits =
    type === 'array'
      ? Array.isArray(meant)
      : type === 'integer'
        ? Number.isInteger(meant)
        : type === 'object'
          ? toObject(meant, []) !== undefined
          : typeof meant === type;
  return meant !== undefined && meant !== null && fits ? meant : value;
}
