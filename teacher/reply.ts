/** From a raw reply to an assistant message: text, reasoning and tool calls, each in its own place. */

import type { Completion, CompletionRequest } from '../domain/ports.ts';
import type { AssistantMessage, Repair } from '../domain/trajectory.ts';
import { asText } from './json.ts';
import type { RawReply } from './raw-reply.ts';
import { splitReasoning } from './reasoning.ts';
import { splitTextCalls, type TextFormat } from './text-calls.ts';
import { rawCallsOf, toCallsInForm } from './tool-calls.ts';

export interface ReplyContext {
  /** Makes ids for calls that came without one. */
  step: number;
  tools?: CompletionRequest['tools'];
  /** The form of calls in the text; undefined where the endpoint itself takes them out. */
  textFormat?: TextFormat | undefined;
}

/** The message of a reply, and how it was brought into form. */
export function readReply(
  raw: RawReply,
  { step, tools, textFormat }: ReplyContext,
): { message: AssistantMessage; repairs: Repair[] } {
  const finishReason = toFinishReason(raw);
  const { text, reasoning } = splitReasoning(raw.message);
  const own = rawCallsOf(raw.message);
  const isWhole = finishReason !== 'length';
  const split =
    own.length === 0 && textFormat !== undefined && isWhole
      ? splitTextCalls(text, textFormat, tools)
      : { text, calls: own };
  const inForm = toCallsInForm(split.calls, tools, step, isWhole);
  const { calls, repairs } =
    finishReason === 'content_filter' && split.calls.length > 0
      ? {
          calls: [],
          repairs: [{ rule: 'filtered-calls' as const, call: 0, was: inForm.calls[0]?.name ?? '' }],
        }
      : inForm;
  return {
    message: {
      role: 'assistant',
      content: split.text === '' ? asText(raw.message['refusal']) : split.text,
      ...(reasoning !== '' && { reasoning }),
      ...(calls.length > 0 && { toolCalls: calls }),
    },
    repairs,
  };
}

/** Why the reply ended, in our words; a refusal counts as filtered whatever the endpoint calls it. */
export function toFinishReason(raw: RawReply): Completion['finishReason'] {
  if (asText(raw.message['refusal']) !== '') return 'content_filter';
  switch (raw.finishReason) {
    case 'stop':
    case 'eos':
    case 'eos_token':
    case 'end_turn':
    case 'stop_sequence':
    case 'COMPLETE':
    case 'STOP':
      return 'stop';
    case 'tool_calls':
    case 'function_call':
    case 'tool_use':
      return 'tool_calls';
    case 'length':
    case 'max_tokens':
    case 'MAX_TOKENS':
    case 'model_length':
    case 'model_context_window_exceeded':
      return 'length';
    case 'content_filter':
    case 'sensitive':
    case 'refusal':
    case 'SAFETY':
      return 'content_filter';
    default:
      return 'other';
  }
}

/** What an endpoint says when it gave a reply up; the reply is asked for again. */
const GIVEN_UP = new Set([
  'error',
  'abort',
  'aborted',
  'cancelled',
  'network_error',
  'insufficient_system_resource',
]);

/** Whether the endpoint itself says that the reply is no reply. */
export function isGivenUp(raw: RawReply): boolean {
  return typeof raw.finishReason === 'string' && GIVEN_UP.has(raw.finishReason);
}
