/** The tool calls of a reply: from their own field or from the text, in form, with the rules that brought them there. */

import type { CompletionRequest } from '../domain/ports.ts';
import type { Repair, RepairRule, ToolCall, ToolSchema } from '../domain/trajectory.ts';
import { readArguments } from './arguments.ts';
import { asList, asRecord, asText } from './json.ts';
import { toArgumentText } from './raw-reply.ts';

const MAX_REPAIRS = 64;
const MAX_SHOWN_CHARS = 1000;

/** A call before anything of it was looked at. */
export interface RawCall {
  id: string;
  name: string;
  /** JSON text, the object itself, or whatever else came. */
  arguments: unknown;
  /** Rules that reading it has taken already. */
  rules?: RepairRule[];
}

export interface CallsInForm {
  calls: ToolCall[];
  repairs: Repair[];
}

/** The calls in a message's own field, in its new or its old form. */
export function rawCallsOf(raw: Record<string, unknown>): RawCall[] {
  const listed = asList(raw['tool_calls']);
  const legacy = asRecord(raw['function_call']);
  const calls = listed.length > 0 || legacy['name'] === undefined ? listed : [{ function: legacy }];
  return calls.map((value) => {
    const call = asRecord(value);
    // Some endpoints leave the `function` around them out.
    const named = call['function'] === undefined ? call : asRecord(call['function']);
    return { id: asText(call['id']), name: asText(named['name']), arguments: named['arguments'] };
  });
}

/**
 * Brings calls into form. What no rule covers stays as it came, for the agent to answer. `isWhole` false: the reply broke off, so
 * nothing about its arguments is put right. `step` makes ids.
 */
export function toCallsInForm(
  raw: RawCall[],
  tools: CompletionRequest['tools'],
  step: number,
  isWhole: boolean,
): CallsInForm {
  const repairs: Repair[] = [];
  const note = (rule: RepairRule, call: number, was: string) => {
    if (repairs.length < MAX_REPAIRS)
      repairs.push({ rule, call, was: was.slice(0, MAX_SHOWN_CHARS) });
  };
  const ids = new Set<string>();
  const calls = raw.map((call, place): ToolCall => {
    const isOwn = call.id !== '' && !ids.has(call.id);
    const id = isOwn ? call.id : `call_${step}_${place}`;
    if (!isOwn) note('call-id', place, call.id);
    ids.add(id);
    const tool = findTool(tools ?? [], call.name);
    const name = tool?.function.name ?? call.name;
    if (name !== call.name) note('tool-name', place, call.name);
    const text = toArgumentText(call.arguments);
    for (const rule of call.rules ?? []) note(rule, place, text);
    const read =
      tool && isWhole ? readArguments(call.arguments, tool.function.parameters) : undefined;
    if (read === undefined || read.rules.length === 0) return { id, name, arguments: text };
    for (const rule of read.rules) note(rule, place, text);
    return { id, name, arguments: JSON.stringify(read.object) };
  });
  return { calls, repairs };
}

// --- internal ---

function findTool(tools: ToolSchema[], name: string): ToolSchema | undefined {
  const plain = name
    .trim()
    .replace(/^(?:functions|tools|default_api)[.:/]/, '')
    .replace(/(?::\d+|<\|[^]*)$/, '');
  const called = (wanted: string, each: ToolSchema) => each.function.name === wanted;
  return (
    tools.find((tool) => called(name, tool)) ??
    tools.find((tool) => called(plain, tool)) ??
    tools.find((tool) => called(plain.toLowerCase(), tool))
  );
}
