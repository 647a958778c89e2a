/** Text as every JSON reader, tokenizer and chat template can take it. */

import type { z } from 'zod';

export type Json = z.infer<ReturnType<typeof z.json>>;
export type JsonObject = { [key: string]: Json };

/** Text that every JSON reader and tokenizer takes: no NUL, no half of a surrogate pair. */
export function cleanText(text: string): string {
  if (text.isWellFormed() && !text.includes('\0')) return text;
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

/** The object a JSON text holds; undefined where it holds none, or one nested absurdly deep. */
export function parseJsonObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isJsonObject(value) || nesting(value) > MAX_NESTING) return undefined;
    return cleanJson(value);
  } catch {
    return undefined;
  }
}

/** Told of what `JSON.parse` returned. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON with a space after commas and colons, as the chat templates print it. */
export function toSpacedJson(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(toSpacedJson).join(', ')}]`;
  const fields = Object.entries(value).map(
    ([key, item]) => `${JSON.stringify(key)}: ${toSpacedJson(item)}`,
  );
  return `{${fields.join(', ')}}`;
}

/** A tokenizer turns these into control tokens wherever they stand: `<|im_end|>` and its like of every model family, and `own`. */
export function hasControlTokens(text: string, own: string[] = []): boolean {
  return (
    (text.includes('<') && CONTROL_TOKEN.test(text)) || own.some((token) => text.includes(token))
  );
}

/** Tags that chat templates and parsers give a meaning: inside a message they would end or forge a call, a response, a thought. */
export function hasChatTags(text: string): boolean {
  return text.includes('<') && CHAT_TAG.test(text);
}

/** The text with a space in every control token, `own` (longest first) included, so that it is none any more and still can be read. */
export function defuseTokens(text: string, own: string[] = []): string {
  return own.reduce(
    (rest, token) => rest.replaceAll(token, breakUp),
    text.replace(ALL_TOKENS, breakUp),
  );
}

/** The text with a space in every tag of chat templates. */
export function defuseTags(text: string): string {
  return text.replace(ALL_TAGS, breakUp);
}

// --- internal ---

const MAX_NESTING = 32;

const CONTROL_TOKEN = /<\|[a-z0-9_/-]{1,40}\|>|<｜[^｜<>]{1,40}｜>|<(?:start|end)_of_turn>/iu;
const ALL_TOKENS = new RegExp(CONTROL_TOKEN.source, 'giu');
const CHAT_TAG = /<\/?(?:tool_call|tool_response|think)>/;
const ALL_TAGS = new RegExp(CHAT_TAG.source, 'g');

function breakUp(token: string): string {
  return `${token.slice(0, 1)} ${token.slice(1)}`;
}

/** Levels of a value's nesting, counted no further than needed. */
function nesting(value: Json, level = 0): number {
  if (value === null || typeof value !== 'object' || level > MAX_NESTING) return level;
  return Math.max(level, ...Object.values(value).map((item) => nesting(item, level + 1)));
}
