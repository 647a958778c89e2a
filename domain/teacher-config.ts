/** The section `teacher` of twinpatch.yaml: which models generate, where they are, and how they are asked. */

import { z } from 'zod';
import { duration, timeLimit } from './quantity.ts';

const price = z
  .strictObject({
    input: z.number().nonnegative().describe('USD per million input tokens.'),
    cachedInput: z
      .number()
      .nonnegative()
      .optional()
      .describe(
        'USD per million input tokens that the endpoint had cached; as `input` when left out.',
      ),
    output: z.number().nonnegative().describe('USD per million output tokens, reasoning included.'),
  })
  .describe('Prices; without them cost is shown as "unpriced", never as 0.');
export type Price = z.infer<typeof price>;

const temperature = z.number().min(0).max(2);
const topP = z.number().gt(0).max(1);
const maxTokens = z.int().positive();
const thinking = z.union([z.boolean(), z.enum(['low', 'medium', 'high'])], {
  error: 'expected true, false, low, medium or high',
});
export type Thinking = z.infer<typeof thinking>;

/** Ways to tell an endpoint whether its model should reason: none is spoken everywhere. */
const THINKING_FIELDS = [
  'chat_template_kwargs',
  'thinking',
  'enable_thinking',
  'reasoning',
  'reasoning_effort',
] as const;
export type ThinkingField = (typeof THINKING_FIELDS)[number];

const headerName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'expected the name of a header');
/** Values of `headers` stand in the configuration, which is copied and shown. */
const KEY_HEADERS = /^((proxy-)?authorization|cookie|(x-)?api-?key|.*-(key|token|secret))$/i;
const OWN_FIELDS = new Set(['messages', 'model', 'stream', 'stream_options', 'tools']);

const endpoint = z.strictObject({
  baseUrl: z
    .url({ protocol: /^https?$/, error: 'expected an http:// or https:// address' })
    .describe('Base URL of an OpenAI-compatible API, up to and with `/v1`.'),
  model: z.string().min(1).describe('Model name, as the endpoint knows it.'),
  modelId: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Needed where names of `model` differ: endpoints with the same one serve the same model. Of several models each sample has one.',
    ),
  apiKeyEnv: z
    .string()
    .regex(
      /^[A-Za-z_][A-Za-z0-9_]*$/,
      'expected the name of an environment variable, never the key itself',
    )
    .optional()
    .describe(
      'Environment variable of the worker that holds the key; its name ends in `_API_KEY`, or the worker allows it.',
    ),
  apiKeyFile: z
    .string()
    .min(1)
    .optional()
    .describe('File on the worker that holds the key; read anew when it changes.'),
  keyHeader: headerName
    .optional()
    .describe('Header that carries the key by itself; left out, `Authorization: Bearer …` does.'),
  headers: z
    .record(
      headerName.refine((name) => !KEY_HEADERS.test(name), {
        error:
          'holds a key; give that by `apiKeyEnv` or `apiKeyFile`, and its header by `keyHeader`',
      }),
      z.string(),
    )
    .optional()
    .describe('Headers to send with every call; never keys.'),
  body: z
    .record(
      z.string().refine((name) => !OWN_FIELDS.has(name), { error: 'is set by twinpatch itself' }),
      z.unknown(),
    )
    .optional()
    .describe(
      'More fields for the body of every call, such as `top_k`; null leaves one of ours out, such as `temperature`.',
    ),
  temperature: temperature.optional().describe('As `teacher.temperature`, for this model.'),
  topP: topP.optional().describe('As `teacher.topP`, for this model.'),
  maxTokens: maxTokens.optional().describe('As `teacher.maxTokens`, for this model.'),
  thinking: thinking.optional().describe('As `teacher.thinking`, for this model.'),
  thinkingField: z
    .enum(THINKING_FIELDS)
    .optional()
    .describe(
      'How the endpoint is told of `thinking`; `chat_template_kwargs` (vLLM, SGLang, llama.cpp) when left out.',
    ),
  reasoningField: z
    .enum(['reasoning_content', 'reasoning'])
    .optional()
    .describe(
      'Field in which the reasoning of earlier turns is sent back; left out, it is not sent.',
    ),
  toolCallFormat: z
    .enum(['hermes', 'qwen-xml', 'glm'])
    .optional()
    .describe(
      "Form of the tool calls in the model's text, where the endpoint has no parser for them; left out, they come in a field of their own.",
    ),
  stream: z
    .boolean()
    .optional()
    .describe(
      'False asks for plain replies; left out, replies are streamed where the endpoint can.',
    ),
  cacheMarks: z
    .boolean()
    .optional()
    .describe(
      'Marks the prompt for caching (`cache_control`), where an endpoint wants to be told.',
    ),
  maxConcurrency: z
    .int()
    .positive()
    .default(32)
    .describe(
      'Calls under way at once, of all workers together; fewer while the endpoint limits the rate.',
    ),
  requestsPerMinute: z
    .int()
    .positive()
    .optional()
    .describe('Calls begun per minute, of all workers together.'),
  tokensPerMinute: z
    .int()
    .positive()
    .optional()
    .describe('Input and output tokens per minute, of all workers together.'),
  price: price.optional().describe('Prices of this endpoint; `teacher.price` when left out.'),
});

export const POLICIES = [
  'reproduce',
  'partial',
  'wrong-file',
  'never-submits',
  'malformed-call',
  'empty-patch',
  'self-check-no',
] as const;
export type Policy = (typeof POLICIES)[number];

const scripted = z
  .strictObject({
    seed: z.int().nonnegative().default(7).describe('Chooses the behaviour per function.'),
    latency: duration().prefault('0ms').describe('Waiting time before each reply.'),
    faultRate: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe('Share of requests answered with a fault (429, 500, cut connection) first.'),
    policies: z
      .partialRecord(z.enum(POLICIES), z.number().nonnegative())
      .refine((weights) => Object.values(weights).some((weight) => weight > 0), {
        error: 'gives no behaviour a weight above 0; give one',
        when: ({ issues }) => issues.length === 0,
      })
      .default({
        reproduce: 6,
        partial: 2,
        'wrong-file': 1,
        'malformed-call': 1,
        'never-submits': 0.5,
        'empty-patch': 0.5,
        'self-check-no': 1,
      })
      .describe('Weight of each behaviour.'),
  })
  .transform(({ latency, ...rest }) => ({ ...rest, latencyMs: latency }))
  .describe(
    'A simulated teacher for demonstrations and tests: no model is called, and rows must not be used for training.',
  );

/** Parsed, it has its defaults filled in, and durations in milliseconds. */
export const teacherSchema = z
  .strictObject({
    endpoints: z
      .array(endpoint)
      .default([])
      .describe('OpenAI-compatible endpoints, of one model or several.'),
    scripted: scripted.optional(),
    temperature: temperature.default(0.6).describe('Sampling temperature.'),
    topP: topP.default(1).describe('Nucleus sampling.'),
    maxTokens: maxTokens
      .optional()
      .describe('Limit of output tokens per call; the endpoint decides when left out.'),
    thinking: thinking
      .optional()
      .describe(
        'Whether the model reasons before it answers, or how much (`low`, `medium`, `high`); the endpoint decides when left out.',
      ),
    callTimeout: timeLimit()
      .prefault('10m')
      .describe('Longest time for one reply, from request to last byte.'),
    firstByteTimeout: timeLimit()
      .prefault('5m')
      .describe('Longest wait for the first byte of a reply.'),
    idleTimeout: timeLimit().prefault('2m').describe('Longest silence within a reply.'),
    price: price.optional(),
  })
  .refine((teacher) => (teacher.scripted === undefined) !== (teacher.endpoints.length === 0), {
    error: 'give either `endpoints` or `scripted`',
  })
  .superRefine(({ endpoints }, context) => {
    const refuse = (index: number, key: string, message: string) =>
      context.addIssue({ code: 'custom', path: ['endpoints', index, key], message });
    const areSeveral = new Set(endpoints.map(({ model }) => model)).size > 1;
    for (const [index, endpoint] of endpoints.entries()) {
      const { model, modelId = model } = endpoint;
      if (areSeveral && endpoint.modelId === undefined) refuse(index, 'modelId', NEEDS_MODEL_ID);
      const first = endpoints.find((each) => (each.modelId ?? each.model) === modelId);
      const expected = toldBy(first ?? endpoint);
      for (const [key, told] of Object.entries(toldBy(endpoint))) {
        if (told === expected[key]) continue;
        refuse(index, key, `differs from another endpoint of ${modelId}; give them the same one`);
      }
    }
  })
  .transform(({ callTimeout, firstByteTimeout, idleTimeout, ...rest }) => ({
    ...rest,
    deadlines: { totalMs: callTimeout, firstByteMs: firstByteTimeout, idleMs: idleTimeout },
  }))
  .describe('The model that generates.');

// --- internal ---

const NEEDS_MODEL_ID =
  'is needed, because the endpoints know different names: the same one where they serve the same model, another one where not';

/** What an endpoint's own settings say that determines what its model writes. */
function toldBy({
  temperature,
  topP,
  maxTokens,
  thinking,
  reasoningField,
}: z.infer<typeof endpoint>): Record<string, unknown> {
  return { temperature, topP, maxTokens, thinking, reasoningField: reasoningField !== undefined };
}
