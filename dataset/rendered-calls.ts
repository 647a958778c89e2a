/** Reads tool calls out of text that a chat template made, in the syntaxes of today's model families. */

import { isDeepStrictEqual } from 'node:util';
import { isJsonObject, type Json, type JsonObject } from './text.ts';

export interface RenderedCall {
  /** Index after the call. */
  end: number;
  arguments:
    | { as: 'json'; value: Json }
    /** Where values stand between tags, as the text they are. */
    | { as: 'text'; values: Map<string, string> };
}

/**
 * The call whose name stands at `[nameStart, nameEnd)`: a JSON object (Hermes, Qwen, Llama, Mistral), tags (Qwen3-Coder, SWE-agent,
 * GLM), or the name with a JSON object behind it (DeepSeek, GPT-OSS, Kimi). Undefined where it is none of them.
 */
export function readCall(
  text: string,
  nameStart: number,
  nameEnd: number,
): RenderedCall | undefined {
  const before = text.slice(Math.max(0, nameStart - 40), nameStart);
  const object = /\{\s*"name"\s*:\s*"$/.exec(before);
  if (object) return readObject(text, nameStart - object[0].length);
  if (before.endsWith('<function='))
    return readTags(text, nameEnd, /<parameter=([^>]*)>([^]*?)<\/parameter>/y, '</function>');
  const glm = /\s*<arg_key>([^]*?)<\/arg_key>\s*<arg_value>([^]*?)<\/arg_value>/y;
  if (/<tool_call>\n?$/.test(before)) return readTags(text, nameEnd, glm, '</tool_call>');
  return readBehind(text, nameEnd);
}

/** Whether the call says what was meant. */
export function hasArguments({ arguments: read }: RenderedCall, meant: JsonObject): boolean {
  if (read.as === 'json') return isDeepStrictEqual(read.value, meant);
  const { values } = read;
  if (values.size !== Object.keys(meant).length) return false;
  return Object.entries(meant).every(([key, value]) => {
    const text = values.get(key);
    return text !== undefined && isSaid(text, value);
  });
}

// --- internal ---

function readObject(text: string, start: number): RenderedCall | undefined {
  const end = endOfObject(text, start);
  const value = parse(text.slice(start, end));
  if (end === undefined || !isJsonObject(value)) return undefined;
  return {
    end,
    arguments: { as: 'json', value: value['arguments'] ?? value['parameters'] ?? {} },
  };
}

function readTags(
  text: string,
  nameEnd: number,
  parameter: RegExp,
  close: string,
): RenderedCall | undefined {
  const values = new Map<string, string>();
  let at = nameEnd + (text[nameEnd] === '>' ? 1 : 0);
  for (;;) {
    while (/\s/.test(text[at] ?? '')) at += 1;
    if (text.startsWith(close, at))
      return { end: at + close.length, arguments: { as: 'text', values } };
    parameter.lastIndex = at;
    const [whole, key, value] = parameter.exec(text) ?? [];
    if (whole === undefined || key === undefined || value === undefined || values.has(key))
      return undefined;
    values.set(key, value);
    at += whole.length;
  }
}

/** What may stand between a name and its arguments: tokens, a word, a fence. */
const MAX_BETWEEN = 80;

function readBehind(text: string, nameEnd: number): RenderedCall | undefined {
  const start = text.indexOf('{', nameEnd);
  if (start === -1 || start - nameEnd > MAX_BETWEEN) return undefined;
  const end = endOfObject(text, start);
  const value = parse(text.slice(start, end));
  return end === undefined || !isJsonObject(value)
    ? undefined
    : { end, arguments: { as: 'json', value } };
}

/** Index after the bracket that closes the object at `start`. */
function endOfObject(text: string, start: number): number | undefined {
  const token = /"(?:[^"\\]|\\.)*"|[{}]/gsy;
  let depth = 0;
  for (let at = start; at < text.length;) {
    token.lastIndex = at;
    const [found] = token.exec(text) ?? [];
    at += found?.length ?? 1;
    if (found === '{') depth += 1;
    if (found === '}') depth -= 1;
    if (depth === 0) return at;
  }
  return undefined;
}

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** Text parameters stand as they are, perhaps on lines of their own; others as JSON, or as Python prints them. */
function isSaid(text: string, meant: Json): boolean {
  const plain = text.trim();
  if (typeof meant === 'string')
    return text === meant || text === `\n${meant}\n` || parse(plain) === meant;
  if (meant === null) return plain === 'null' || plain === 'None';
  if (typeof meant === 'boolean') return plain.toLowerCase() === String(meant);
  return isDeepStrictEqual(parse(plain), meant);
}
