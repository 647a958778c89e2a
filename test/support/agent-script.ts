/** A scripted teacher and a small plan for the tests of the agent. */

import type { CallId, Completion, CompletionRequest, Teacher } from '../../domain/ports.ts';
import type { RolloutLimits, RolloutPlan } from '../../agent/plan.ts';

export interface ScriptedReply {
  content?: string;
  calls?: { name: string; args: unknown; id?: string }[];
  repairs?: Completion['repairs'];
  finishReason?: Completion['finishReason'];
  inputTokens?: number;
  costUsd?: number | null;
  durationMs?: number;
}

export const bash = (command: string): ScriptedReply => ({
  content: `I run ${command}.`,
  calls: [{ name: 'bash', args: { command } }],
});
export const editor = (args: Record<string, unknown>): ScriptedReply => ({
  content: 'I use the editor.',
  calls: [{ name: 'str_replace_editor', args }],
});
export const submit: ScriptedReply = { content: 'Done.', calls: [{ name: 'submit', args: {} }] };

export function toCompletion(reply: ScriptedReply, step: number): Completion {
  const toolCalls = (reply.calls ?? []).map(({ name, args, id }, index) => ({
    id: id ?? `c${step}-${index}`,
    name,
    arguments: typeof args === 'string' ? args : JSON.stringify(args),
  }));
  return {
    message: {
      role: 'assistant',
      content: reply.content ?? '',
      ...(toolCalls.length > 0 && { toolCalls }),
    },
    ...(reply.repairs && { repairs: reply.repairs }),
    finishReason: reply.finishReason ?? (toolCalls.length > 0 ? 'tool_calls' : 'stop'),
    usage: {
      inputTokens: reply.inputTokens ?? 100,
      cachedInputTokens: 0,
      outputTokens: 10,
      reasoningTokens: 0,
    },
    costUsd: reply.costUsd === undefined ? 0.01 : reply.costUsd,
    model: 'scripted',
    endpoint: 'none',
    simulated: true,
    durationMs: reply.durationMs ?? 5,
  };
}

/** Answers step n with the n-th reply, the last one for ever; an Error is thrown. */
export function createTeacher(script: (ScriptedReply | Error)[]): Teacher & {
  calls: CallId[];
  requests: CompletionRequest[];
} {
  const calls: CallId[] = [];
  const requests: CompletionRequest[] = [];
  return {
    calls,
    requests,
    complete: async (request, call) => {
      calls.push(call);
      requests.push(structuredClone(request));
      const reply = script[Math.min(call.step, script.length) - 1];
      if (reply === undefined || reply instanceof Error) throw reply ?? new Error('no script');
      return toCompletion(reply, call.step);
    },
  };
}

export function planWith(
  limits: Partial<RolloutLimits> = {},
  callsPerTurn: RolloutPlan['callsPerTurn'] = 'one',
): RolloutPlan {
  return {
    rolloutId: 'b/000001-abcdef/rollout-1.1',
    systemPrompt: 'You are an engineer.',
    taskPrompt: 'Look at /testbed.',
    review: { name: 'prompts.review', text: 'Review this:\n{{ diff }}' },
    callsPerTurn,
    limits: {
      maxSteps: 20,
      commandTimeoutMs: 10_000,
      maxConsecutiveTimeouts: 3,
      maxToolTimeMs: 60_000,
      maxWallTimeMs: 120_000,
      maxTokens: 1_000_000,
      maxFormatErrors: 3,
      maxObservationChars: 2000,
      ...limits,
    },
  };
}
