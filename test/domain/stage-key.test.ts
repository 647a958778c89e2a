import { describe, expect, test } from 'vitest';
import { type BatchConfigInput, batchConfigSchema } from '../../domain/config.ts';
import { canonicalJson } from '../../domain/ids.ts';
import { modelOf, modelsOf, samplingOf } from '../../domain/stage-key.ts';

type Teacher = NonNullable<BatchConfigInput['teacher']>;
type Endpoint = NonNullable<Teacher['endpoints']>[number];

const KEY = '000004-abcdef';
const endpoint = (settings: Partial<Endpoint> = {}): Endpoint => ({
  baseUrl: 'http://h/v1',
  model: 'm',
  ...settings,
});
const teacherOf = (teacher: Teacher) => batchConfigSchema.parse({ name: 'b', teacher }).teacher;
const samplingWith = (...endpoints: Endpoint[]) =>
  canonicalJson(samplingOf(teacherOf({ endpoints }), KEY));

describe('what determines the text of a model', () => {
  const PLAIN = '{"model":"m","temperature":0.6,"topP":1}';

  test('is what it always was where nothing new is set', () => {
    expect(samplingWith(endpoint())).toBe(PLAIN);
    const scripted = { seed: 7, policies: { reproduce: 1 } };
    expect(canonicalJson(samplingOf(teacherOf({ scripted }), KEY))).toBe(
      '{"model":"scripted","simulated":{"policies":{"reproduce":1},"seed":7},"temperature":0.6,"topP":1}',
    );
  });

  test('is not where and how an endpoint is reached', () => {
    const reached: Partial<Endpoint> = {
      baseUrl: 'http://other/v1',
      apiKeyEnv: 'X_API_KEY',
      keyHeader: 'api-key',
      headers: { 'x-title': 'us' },
      thinkingField: 'thinking',
      toolCallFormat: 'hermes',
      stream: false,
      cacheMarks: true,
      maxConcurrency: 3,
      requestsPerMinute: 60,
      tokensPerMinute: 1000,
      price: { input: 1, output: 2 },
    };
    expect(samplingWith(endpoint(reached))).toBe(PLAIN);
    expect(samplingWith(endpoint(), endpoint(reached))).toBe(PLAIN);
    expect(samplingWith(endpoint({ model: 'served', modelId: 'm' }))).toBe(PLAIN);
  });

  test.each<Partial<Endpoint>>([
    { temperature: 0.1 },
    { topP: 0.5 },
    { maxTokens: 100 },
    { thinking: false },
    { reasoningField: 'reasoning' },
    { body: { top_k: 20 } },
  ])('is %j, once or at several endpoints', (settings) => {
    const once = samplingWith(endpoint(settings));
    expect(once).not.toBe(PLAIN);
    expect(samplingWith(endpoint(settings), endpoint(settings))).toBe(once);
  });
});

describe('of several models', () => {
  const named = (modelId: string) => endpoint({ model: modelId, modelId });

  test('the samples have one after the other, whatever their order is in the file', () => {
    const models = ['000000-a', '000001-b', '000002-c', '000003-d'].map((key) =>
      modelOf(teacherOf({ endpoints: [named('y'), named('x'), named('y')] }), key),
    );
    expect(models).toEqual(['x', 'y', 'x', 'y']);
    expect(modelsOf(teacherOf({ endpoints: [named('x'), named('y')] }))).toEqual(['x', 'y']);
  });

  test('each has its own settings', () => {
    const teacher = teacherOf({ endpoints: [named('x'), { ...named('y'), temperature: 1 }] });
    expect(samplingOf(teacher, '000000-a')).toMatchObject({ model: 'x', temperature: 0.6 });
    expect(samplingOf(teacher, '000001-b')).toMatchObject({ model: 'y', temperature: 1 });
  });
});
