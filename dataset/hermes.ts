/** The Hermes text form of turns: thoughts, tool calls and tool responses as tags inside plain messages. */

import { cleanJson, type Json } from './row.ts';

export interface HermesCall {
  name: string;
  arguments: { [key: string]: Json };
}

export interface HermesTurn {
  reasoning: string;
  text: string;
  calls: HermesCall[];
}

/** The system message: the prompt the teacher had, then the tools and how to call them. */
export function renderSystem(prompt: string, tools: Json[]): string {
  const signatures = tools.map(toSpacedJson);
  const parts = [prompt.trim()];
  if (tools.length > 0) parts.push(TOOLS_INTRODUCTION, ...signatures, TOOLS_INSTRUCTION);
  return parts.join('\n').trim();
}

/** An assistant message: thoughts, then text, then calls. Spacing is that of the Qwen templates, which serve such models. */
export function renderAssistant({ reasoning, text, calls }: HermesTurn): string {
  const thoughts = reasoning.trim() === '' ? '' : `<think>\n${reasoning.trim()}\n</think>\n\n`;
  return (
    thoughts + [text.trim(), ...calls.map(renderCall)].filter((part) => part !== '').join('\n')
  );
}

/** What `renderAssistant` was given, read back; undefined where the content is not of its making. */
export function parseAssistant(content: string): HermesTurn | undefined {
  const thoughts = /^<think>\n([^]*?)\n<\/think>\n\n/.exec(content);
  const lines = content.slice(thoughts?.[0].length ?? 0).split('\n');
  const text: string[] = [];
  const calls: HermesCall[] = [];
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index]!;
    if (line !== '<tool_call>') {
      if (calls.length > 0) return undefined;
      text.push(line);
      continue;
    }
    const call = parseCall(lines[index + 1] ?? '');
    if (!call || lines[index + 2] !== '</tool_call>') return undefined;
    calls.push(call);
    index += 2;
  }
  const turn = { reasoning: thoughts?.[1] ?? '', text: text.join('\n'), calls };
  const pieces = [turn.reasoning, turn.text, ...calls.map((call) => JSON.stringify(call))];
  return renderAssistant(turn) === content && !pieces.some(hasHermesTags) ? turn : undefined;
}

/** What a tool returned, as part of a user message. */
export function renderResponse(content: string): string {
  return `<tool_response>\n${content}\n</tool_response>`;
}

/** The arguments of a call from the teacher's JSON text; undefined where it is no JSON object, or one nested absurdly deep. */
export function parseArguments(text: string): HermesCall['arguments'] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isJsonObject(value) || nesting(value) > MAX_NESTING) return undefined;
    return cleanJson(value);
  } catch {
    return undefined;
  }
}

/** A tokenizer turns these into control tokens wherever they stand: `<|im_end|>` and its like of every model family. */
export function hasControlTokens(text: string): boolean {
  return /<\|[a-z0-9_/-]{1,40}\|>|<｜[^｜<>]{1,40}｜>/iu.test(text);
}

/** Tags of this form, which inside a message would end or forge a call, a response or a thought. */
export function hasHermesTags(text: string): boolean {
  return /<\/?(?:tool_call|tool_response|think)>/.test(text);
}

// --- internal ---

const TOOLS_INTRODUCTION = `
# Tools

These functions are at your disposal. Each line between <tools> and </tools> describes one of them in JSON:
<tools>`;

const TOOLS_INSTRUCTION = `</tools>

To use one, write a JSON object with its name and its arguments between call tags, one object per call:
<tool_call>
{"name": "the function's name", "arguments": {"the parameter's name": "its value"}}
</tool_call>
What it returns is given to you between <tool_response> and </tool_response>.`;

const MAX_NESTING = 32;

function renderCall(call: HermesCall): string {
  return `<tool_call>\n${toSpacedJson({ name: call.name, arguments: call.arguments })}\n</tool_call>`;
}

function parseCall(line: string): HermesCall | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (!isJsonObject(value) || Object.keys(value).join() !== 'name,arguments') return undefined;
    const { name, arguments: callArguments } = value;
    if (typeof name !== 'string' || !isJsonObject(callArguments)) return undefined;
    return { name, arguments: callArguments };
  } catch {
    return undefined;
  }
}

/** Told of what `JSON.parse` returned. */
function isJsonObject(value: unknown): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Levels of a value's nesting, counted no further than needed. */
function nesting(value: Json, level = 0): number {
  if (value === null || typeof value !== 'object' || level > MAX_NESTING) return level;
  return Math.max(level, ...Object.values(value).map((item) => nesting(item, level + 1)));
}

/** JSON with a space after commas and colons, as the chat templates print it. */
function toSpacedJson(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(toSpacedJson).join(', ')}]`;
  const fields = Object.entries(value).map(
    ([key, item]) => `${JSON.stringify(key)}: ${toSpacedJson(item)}`,
  );
  return `{${fields.join(', ')}}`;
}
