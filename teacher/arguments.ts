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
const FENCE = '```';
const MAX_LEFTOVER_CHARS = 1000;

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
  const trimmed = text.trim();
  if (trimmed.length > 2 * FENCE.length && trimmed.startsWith(FENCE) && trimmed.endsWith(FENCE)) {
    const inside = trimmed.slice(FENCE.length, -FENCE.length).replace(/^json/, '');
    return withRule('code-fence', readText(inside, MAX_NESTING));
  }
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

/** What a text consists of, outside of JSON strings and within: long pieces at once, because arguments may have megabytes. */
const OUTSIDE = /[{}[\]",]|\s+|[^{}[\]",\s]+/y;
const INSIDE = /"|\\[^]|[\n\r\t]|[^"\\\n\r\t]+/y;

/** The complete objects a text is made of, with what is no JSON about their inside put right; undefined where something else is between. */
function scanObjects(text: string): { objects: string[]; rules: RepairRule[] } | undefined {
  const rules = new Set<RepairRule>();
  const objects: string[] = [];
  let pieces: string[] = [];
  let depth = 0;
  let isInside = false;
  /** Of the last piece that is no space. */
  let last = -1;
  let at = 0;
  while (at < text.length) {
    const pattern = isInside ? INSIDE : OUTSIDE;
    pattern.lastIndex = at;
    const piece = pattern.exec(text)?.[0];
    if (piece === undefined) break;
    if (depth === 0 && piece !== '{' && piece.trim() !== '') break;
    at += piece.length;
    const escaped = isInside ? ESCAPES[piece] : undefined;
    if (escaped !== undefined) rules.add('control-characters');
    if (piece === '"') isInside = !isInside;
    if (!isInside && (piece === '{' || piece === '[')) depth += 1;
    const isEnd = !isInside && (piece === '}' || piece === ']');
    if (isEnd && pieces[last] === ',') {
      rules.add('trailing-comma');
      pieces[last] = '';
    }
    pieces.push(escaped ?? piece);
    if (isInside || piece.trim() !== '') last = pieces.length - 1;
    if (!isEnd) continue;
    depth -= 1;
    if (depth > 0) continue;
    objects.push(pieces.join(''));
    pieces = [];
    last = -1;
  }
  if (depth > 0 || objects.length === 0) return undefined;
  const rest = text.slice(at);
  if (rest.trim() !== '') {
    if (rest.length > MAX_LEFTOVER_CHARS || !LEFTOVER.test(rest)) return undefined;
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
