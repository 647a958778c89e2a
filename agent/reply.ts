/** A teacher's reply → the tool calls to perform, or why there are none; and the form in which it stays in the conversation. */

import type { Completion } from '../domain/ports.ts';
import type { AssistantMessage, ToolCall } from '../domain/trajectory.ts';
import { clip } from './clip.ts';
import type { RolloutPlan } from './plan.ts';
import { parseToolUse, TOOLS, type ToolUse } from './tools/profile.ts';

/** Longest format error sent back; names and arguments of the teacher's own are quoted in it. */
const MAX_PROBLEM_CHARS = 1000;

export interface RequestedCall {
  toolCallId: string;
  use: ToolUse;
}

export type ParsedReply =
  | { kind: 'calls'; message: AssistantMessage; calls: RequestedCall[] }
  | { kind: 'format-error'; message: AssistantMessage; problem: string };

/**
 * Reads a reply. `message` is what later requests carry: call ids are unique, names are plain and arguments are JSON
 * objects, so every endpoint takes the conversation back; the journal has the raw reply. One bad call refuses the turn.
 */
export function parseReply(
  reply: Completion,
  step: number,
  callsPerTurn: RolloutPlan['callsPerTurn'],
): ParsedReply {
  const requested = reply.message.toolCalls ?? [];
  const message = toMessage(reply.message, step);
  const refuse = (reason: string): ParsedReply => ({
    kind: 'format-error',
    message: message.content === '' && requested.length === 0 ? EMPTY_REPLY : message,
    problem: clip(`Nothing was done: ${reason}. ${howToCall(callsPerTurn)}`, MAX_PROBLEM_CHARS),
  });

  if (reply.finishReason === 'length') {
    return refuse('your reply was longer than allowed and broke off; say and do less at a time');
  }
  if (requested.length === 0) return refuse('your reply held no tool call');
  if (requested.length > 1 && callsPerTurn === 'one') {
    return refuse(`your reply held ${requested.length} tool calls`);
  }
  const calls: RequestedCall[] = [];
  for (const [index, call] of requested.entries()) {
    const use = parseCall(call);
    if ('problem' in use) {
      const place = requested.length === 1 ? '' : `call ${index + 1} of ${requested.length}: `;
      return refuse(place + use.problem);
    }
    if (use.tool === 'submit' && index < requested.length - 1) {
      return refuse('`submit` has to be the last call of a turn');
    }
    calls.push({ toolCallId: message.toolCalls?.[index]?.id ?? call.id, use });
  }
  return { kind: 'calls', message, calls };
}

// --- internal ---

/** Some endpoints refuse an assistant message without any content. */
const EMPTY_REPLY: AssistantMessage = { role: 'assistant', content: '(empty reply)' };

function howToCall(callsPerTurn: RolloutPlan['callsPerTurn']): string {
  const names = TOOLS.map((tool) => `\`${tool.function.name}\``).join(', ');
  const count = callsPerTurn === 'one' ? 'exactly one tool call' : 'at least one tool call';
  return `Reply with a short text and ${count}; the tools are ${names}.`;
}

function parseCall(call: ToolCall): ToolUse | { problem: string } {
  const args = parseObject(call.arguments);
  if (args === undefined && isTool(call.name)) {
    return { problem: `the arguments of ${call.name} are not a JSON object` };
  }
  return parseToolUse(call.name, args ?? {});
}

/** A tool without parameters is called with no text at all by some models; that is an empty object. */
function parseObject(json: string): Record<string, unknown> | undefined {
  if (json.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function isTool(name: string): boolean {
  return TOOLS.some((tool) => tool.function.name === name);
}

function toMessage(message: AssistantMessage, step: number): AssistantMessage {
  if (message.toolCalls === undefined || message.toolCalls.length === 0) {
    const { toolCalls: _none, ...rest } = message;
    return rest;
  }
  const ids = new Set<string>();
  const toolCalls = message.toolCalls.map((call, index) => {
    const id = call.id === '' || ids.has(call.id) ? `call-${step}-${index + 1}` : call.id;
    ids.add(id);
    return {
      id,
      name: isTool(call.name) ? call.name : plainName(call.name),
      arguments:
        call.arguments.trim() === '' || parseObject(call.arguments) === undefined
          ? '{}'
          : call.arguments,
    };
  });
  return { ...message, toolCalls };
}

/** Endpoints take names of letters, digits, dashes and underscores only. */
function plainName(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 64) || 'unknown';
}
