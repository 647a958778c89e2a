/** A reply as the endpoint sent it, whether whole or in pieces, in one shape. */

import { asList, asRecord, asText } from './json.ts';
import { REASONING_FIELDS, REASONING_LISTS } from './reasoning.ts';

export interface RawReply {
  /** `choices[0].message`, its values not yet looked at. */
  message: Record<string, unknown>;
  finishReason: unknown;
  usage: unknown;
  model: unknown;
  fingerprint: unknown;
}

/** A plain completion's reply; undefined when the body holds none. */
export function fromCompletion(body: unknown): RawReply | undefined {
  const completion = asRecord(body);
  const choice = asRecord(asList(completion['choices'])[0]);
  if (choice['message'] === undefined || choice['message'] === null) return undefined;
  return {
    message: asRecord(choice['message']),
    finishReason: choice['finish_reason'],
    usage: completion['usage'],
    model: completion['model'],
    fingerprint: completion['system_fingerprint'],
  };
}

const TEXT_FIELDS = ['content', 'refusal', ...REASONING_FIELDS];

export interface Assembler {
  /** One chunk of the stream. */
  add(chunk: unknown): void;
  /** The whole reply; undefined when no choice came at all. */
  reply(): RawReply | undefined;
  /** The endpoint has said why the reply ends. */
  finished(): boolean;
}

/** Puts streamed chunks together into what the plain reply would have been. */
export function createAssembler(): Assembler {
  const texts: Record<string, string> = {};
  const lists: Record<string, unknown[]> = {};
  const calls = createCallAssembler();
  const reply: RawReply = {
    message: {},
    finishReason: undefined,
    usage: undefined,
    model: undefined,
    fingerprint: undefined,
  };
  let chosen = false;

  function addDelta(delta: Record<string, unknown>): void {
    for (const name of TEXT_FIELDS) {
      const value = delta[name];
      if (typeof value === 'string') texts[name] = (texts[name] ?? '') + value;
      else if (Array.isArray(value)) (lists[name] ??= []).push(...(value as unknown[]));
    }
    for (const name of REASONING_LISTS) {
      const items = asList(delta[name]);
      if (items.length > 0) (lists[name] ??= []).push(...items);
    }
    for (const call of asList(delta['tool_calls'])) calls.add(asRecord(call));
    const legacy = asRecord(delta['function_call']);
    if (Object.keys(legacy).length > 0) calls.add({ index: 0, function: legacy });
  }

  return {
    add(value) {
      const chunk = asRecord(value);
      reply.model ??= chunk['model'];
      reply.fingerprint ??= chunk['system_fingerprint'];
      reply.usage = chunk['usage'] ?? reply.usage;
      for (const item of asList(chunk['choices'])) {
        const choice = asRecord(item);
        if ((choice['index'] ?? 0) !== 0) continue;
        chosen = true;
        addDelta(asRecord(choice['delta'] ?? choice['message']));
        reply.finishReason = choice['finish_reason'] ?? reply.finishReason;
        reply.usage = choice['usage'] ?? reply.usage;
      }
    },
    reply() {
      if (!chosen) return undefined;
      const list = calls.list();
      reply.message = { ...texts, ...lists, ...(list.length > 0 && { tool_calls: list }) };
      return reply;
    },
    finished: () => typeof reply.finishReason === 'string',
  };
}

interface PartialCall {
  id: string;
  /** Arguments are text, or the object itself where the endpoint sends it whole. */
  function: { name: string; arguments: unknown };
}

/** Call deltas belong together by `index`; where an endpoint numbers them badly or not at all, a new id starts a new call. */
function createCallAssembler() {
  const calls: PartialCall[] = [];
  const byIndex = new Map<number, PartialCall>();

  function callOf(index: unknown, id: string): PartialCall {
    const known = typeof index === 'number' ? byIndex.get(index) : calls.at(-1);
    const isNew = known === undefined || (id !== '' && known.id !== '' && known.id !== id);
    if (!isNew) return known;
    const call = { id, function: { name: '', arguments: '' } };
    calls.push(call);
    if (typeof index === 'number') byIndex.set(index, call);
    return call;
  }

  return {
    add(delta: Record<string, unknown>): void {
      const id = asText(delta['id']);
      const call = callOf(delta['index'], id);
      call.id ||= id;
      const { name, arguments: args } = asRecord(delta['function']);
      // Some endpoints repeat the whole name in every delta.
      if (asText(name) !== call.function.name) call.function.name += asText(name);
      const known = call.function.arguments;
      call.function.arguments =
        known === '' && args !== undefined && args !== null
          ? args
          : toArgumentText(known) + toArgumentText(args);
    },
    list: () => calls,
  };
}

/** Arguments are JSON text; an endpoint that sends the object itself means its JSON. */
export function toArgumentText(value: unknown): string {
  return value === null || value === undefined
    ? ''
    : typeof value === 'string'
      ? value
      : JSON.stringify(value);
}
