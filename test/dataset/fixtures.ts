import { DEFAULT_CONVERSATION } from '../../dataset/conversation.ts';
import type { BatchSummary } from '../../dataset/manifest.ts';
import type { FinishedSample, RolloutSide } from '../../dataset/select.ts';
import { NO_VIEWS } from '../../dataset/views.ts';
import type { WriteOptions } from '../../dataset/write.ts';
import type { ToolSchema, Trajectory, Turn } from '../../domain/trajectory.ts';

export const bash: ToolSchema = {
  type: 'function',
  function: {
    name: 'bash',
    description: 'Runs a command.',
    parameters: { type: 'object', properties: { command: { type: 'string' } } },
  },
};

export function call(name: string, callArguments: unknown, id = 'c1'): Turn {
  const text = typeof callArguments === 'string' ? callArguments : JSON.stringify(callArguments);
  return { role: 'assistant', content: '', toolCalls: [{ id, name, arguments: text }] };
}

export function answer(content: string, toolCallId = 'c1'): Turn {
  return { role: 'tool', toolCallId, content };
}

export const opening: Turn[] = [
  { role: 'system', content: 'You repair programs.' },
  { role: 'user', content: 'Something is off around parse_header.' },
];

export function trajectory(turns: Turn[]): Trajectory {
  return { rolloutId: 'r', turns, tools: [bash] };
}

export const shortTrajectory = trajectory([
  ...opening,
  call('bash', { command: 'ls' }),
  answer('a.py'),
  call('bash', { command: 'submit' }),
  answer('done'),
]);

export function side(id: string, change: Partial<RolloutSide> = {}): RolloutSide {
  return {
    rolloutId: `headers/${id}`,
    status: 'submitted',
    simulated: false,
    trajectory: () => Promise.resolve(shortTrajectory),
    patch: () => Promise.resolve(PATCH),
    provenance: { model: 'glm-4.6' },
    ...change,
  };
}

/** Changes one line of `http/headers.py`. */
export const PATCH = `diff --git a/http/headers.py b/http/headers.py
--- a/http/headers.py
+++ b/http/headers.py
@@ -3,1 +3,1 @@
-    return value
+    return value.strip()
`;

/** A verified sample with both rollouts. */
export function sample(key: string, change: Partial<FinishedSample> = {}): FinishedSample {
  return {
    sampleKey: key,
    target: {
      repository: 'web',
      file: 'http/headers.py',
      name: 'parse_header',
      startLine: 1,
      endLine: 9,
    },
    verdict: { kind: 'verified' },
    recall: { exact: 0.75, sera: 1 },
    selfCheck: 'yes',
    t1: side(`${key}/rollout-1.1`),
    t2: side(`${key}/rollout-2.1`),
    provenance: { commit: 'abc' },
    ...change,
  };
}

export async function* stream(samples: FinishedSample[]): AsyncGenerator<FinishedSample> {
  for (const item of samples) yield await Promise.resolve(item);
}

export const BATCH: BatchSummary = {
  id: 'b',
  repository: 'web',
  commits: ['c1'],
  licences: ['MIT'],
  seed: 7,
  teachers: [
    {
      model: 'glm-4.6',
      temperature: 0.6,
      topP: 1,
      maxTokens: null,
      price: { input: 0.6, cachedInput: 0.11, output: 2.2 },
    },
  ],
  profile: 'swe-agent',
  versions: { twinpatch: '0.1.0' },
  spent: { calls: 9, inputTokens: 900, cachedInputTokens: 800, outputTokens: 90, costUsd: 1.5 },
};

export function optionsOf(
  change: Partial<WriteOptions> & Pick<WriteOptions, 'directory' | 'planned'>,
): WriteOptions {
  return {
    simulated: false,
    batches: [BATCH],
    minRecall: 0.5,
    recallMode: 'exact',
    endStatus: ['submitted'],
    conversation: DEFAULT_CONVERSATION,
    views: NO_VIEWS,
    format: 'hermes',
    argumentsAs: 'object',
    fileType: 'jsonl',
    shardRows: undefined,
    ...change,
  };
}
