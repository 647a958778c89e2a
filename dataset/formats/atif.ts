/** `atif`: the Agent Trajectory Interchange Format 1.7, one document a line; an observation stands in the step that caused it. */

import { z } from 'zod';
import type { ConversationTurn, Reply } from '../conversation.ts';
import { originShape, type Origin, type Row } from '../row.ts';
import { isJsonObject, type Json } from '../text.ts';
import { readAs, RowError, toolsSchema, type Format } from './format.ts';

export const atif: Format = {
  name: 'atif',
  lossOf: () => undefined,
  render: ({ conversation: { system, tools, turns }, origin }): Row => ({
    schema_version: 'ATIF-v1.7',
    trajectory_id: origin.rollout,
    agent: {
      name: 'twinpatch',
      ...agentOf(origin),
      ...(tools.length > 0 && { tool_definitions: tools }),
    },
    steps: [{ step_id: 1, source: 'system', message: system }, ...toSteps(turns)],
    extra: { ...origin },
  }),
  parse(value) {
    const { agent, steps, extra } = readAs(documentSchema, value);
    const [first, ...rest] = steps;
    if (first?.source !== 'system') throw new RowError('step 1 is not of source system');
    return {
      conversation: {
        system: first.message,
        tools: agent.tool_definitions ?? [],
        turns: rest.flatMap((step, index) => toTurns(step, index + 2)),
      },
      origin: extra,
    };
  },
  columns: undefined,
};

// --- internal ---

const stepSchema = z.strictObject({
  step_id: z.int(),
  source: z.enum(['system', 'user', 'agent']),
  message: z.string(),
  reasoning_content: z.string().optional(),
  tool_calls: z
    .array(
      z.strictObject({
        tool_call_id: z.string(),
        function_name: z.string(),
        arguments: z.record(z.string(), z.json()),
      }),
    )
    .optional(),
  observation: z
    .strictObject({
      results: z.array(z.strictObject({ source_call_id: z.string(), content: z.string() })),
    })
    .optional(),
  extra: z.strictObject({ train: z.boolean() }).optional(),
});
type Step = z.infer<typeof stepSchema>;

const documentSchema = z.strictObject({
  schema_version: z.literal('ATIF-v1.7'),
  trajectory_id: z.string(),
  agent: z.strictObject({
    name: z.literal('twinpatch'),
    version: z.string(),
    model_name: z.string().optional(),
    tool_definitions: toolsSchema.optional(),
  }),
  steps: z.array(stepSchema).min(3),
  extra: z.strictObject(originShape),
});

function agentOf({ provenance }: Origin): { version: string; model_name?: string } {
  const versions = isJsonObject(provenance['versions']) ? provenance['versions'] : {};
  const model = provenance['model'];
  return {
    version: typeof versions['twinpatch'] === 'string' ? versions['twinpatch'] : 'unknown',
    ...(typeof model === 'string' && { model_name: model }),
  };
}

function toSteps(turns: ConversationTurn[]): Json[] {
  const steps: Step[] = [];
  for (const turn of turns) {
    const step_id = steps.length + 2;
    const last = steps.at(-1);
    if (turn.role === 'user') steps.push({ step_id, source: 'user', message: turn.content });
    else if (turn.role === 'assistant') steps.push(toStep(turn, step_id));
    else if (last?.tool_calls) {
      last.observation ??= { results: [] };
      const { results } = last.observation;
      const source_call_id = last.tool_calls[results.length]!.tool_call_id;
      results.push({ source_call_id, content: turn.content });
    }
  }
  return steps as Json[];
}

function toStep({ reasoning, text, calls, train }: Reply, step_id: number): Step {
  return {
    step_id,
    source: 'agent',
    message: text,
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(calls.length > 0 && {
      tool_calls: calls.map((call, index) => ({
        tool_call_id: `call_${step_id}_${index + 1}`,
        function_name: call.name,
        arguments: call.arguments,
      })),
    }),
    extra: { train },
  };
}

function toTurns(step: Step, expectedId: number): ConversationTurn[] {
  if (step.step_id !== expectedId)
    throw new RowError(`step ${expectedId} has the id ${step.step_id}`);
  if (step.source === 'system') throw new RowError(`step ${expectedId} is of source system`);
  if (step.source === 'user') return [{ role: 'user', content: step.message }];
  const calls = step.tool_calls ?? [];
  const results = step.observation?.results ?? [];
  const isKnown = results.every(
    ({ source_call_id }, index) => source_call_id === calls[index]?.tool_call_id,
  );
  if (!isKnown) throw new RowError(`step ${expectedId} has a result of no call of its own`);
  return [
    {
      role: 'assistant',
      reasoning: step.reasoning_content ?? '',
      text: step.message,
      calls: calls.map((call) => ({ name: call.function_name, arguments: call.arguments })),
      train: step.extra?.train ?? true,
    },
    ...results.map(({ content }): ConversationTurn => ({ role: 'tool', content })),
  ];
}
