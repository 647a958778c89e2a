import { describe, expect, test } from 'vitest';
import { batchConfigSchema } from '../../domain/config.ts';
import {
  parsePullRequest,
  parseVerdict,
  promptsOf,
  PromptError,
  render,
  renderSteps,
} from '../../domain/prompts.ts';
import type { Trajectory, Turn } from '../../domain/trajectory.ts';

function configWith(prompts: Record<string, string>) {
  return batchConfigSchema.parse({ name: 'a', teacher: { scripted: {} }, prompts }).prompts;
}

describe('render', () => {
  test('fills in every variable, and never renders a value again', () => {
    const text = render(
      { name: 'prompts.task', text: '{{ a }}-{{ b }}-{{ a }}' },
      { a: '{{ b }} $& $1', b: 'x' },
    );
    expect(text).toBe('{{ b }} $& $1-x-{{ b }} $& $1');
  });

  test.each([
    ['an unknown variable', 'see {{ diff }} {{ dif }}', 'unknown variable `{{ dif }}`'],
    ['a variable left out', 'see nothing', 'must use `{{ diff }}`'],
    ['another notation', 'see {{diff}}', 'write `{{diff}}` as `{{ diff }}`'],
    ['an expression', '{{ diff }} {{ diff | safe }}', 'write `{{ diff | safe }}`'],
    ['a name of an object', '{{ diff }} {{ constructor }}', 'unknown variable'],
  ])('refuses %s, naming the template', (_what, text, message) => {
    const rendering = () => render({ name: 'prompts.review', text }, { diff: 'd' });
    expect(rendering).toThrow(PromptError);
    expect(rendering).toThrow(message);
    expect(rendering).toThrow('prompts.review');
  });

  test('leaves single braces alone', () => {
    expect(render({ name: 't', text: 'if (x) { y } }} {{' }, {})).toBe('if (x) { y } }} {{');
  });
});

describe('the prompts of a batch', () => {
  test('render with their variables, and show every value', () => {
    const prompts = promptsOf(configWith({}));
    expect(render(prompts.system, {})).toContain('submit');
    expect(render(prompts.task, { repository: '/testbed', statement: 'S!' })).toMatch(
      /\/testbed[^]*S!/,
    );
    expect(render(prompts.review, { diff: 'D!' })).toContain('D!');
    expect(render(prompts.selfCheck, { instruction: 'I!', steps: 'T!' })).toMatch(/I![^]*T!/);
    expect(render(prompts.syntheticPr, { demonstration: 'E!', steps: 'T!' })).toMatch(/T![^]*E!/);
  });

  test('take the text of the user', () => {
    expect(render(promptsOf(configWith({ system: 'Be brief.' })).system, {})).toBe('Be brief.');
  });

  test('refuse a text of the user that lacks a variable, naming the key', () => {
    expect(() => promptsOf(configWith({ review: 'Fine?' }))).toThrow(
      'prompts.review: the text must use `{{ diff }}`',
    );
  });
});

test.each([
  ['<verdict>yes</verdict>', 'yes'],
  ['The change is right.\n<Verdict>\n **Yes.** </VERDICT>\n', 'yes'],
  ['I may say <verdict>yes</verdict>, but: <verdict>no</verdict>', 'no'],
  ['<verdict>no <verdict>yes</verdict>', 'yes'],
  ['<verdict>no</verdict> and then <verdict>yes', 'no'],
  ['<verdict>yes</verdict> or <verdict>yes or no</verdict>', undefined],
  ['<verdict></verdict>', undefined],
  ['yes', undefined],
])('reads the verdict of %j as %j', (text, verdict) => {
  expect(parseVerdict(text)).toBe(verdict);
});

test.each([
  ['<pull_request>\nTitle\n\nBody\n</pull_request>', 'Title\n\nBody'],
  ['Between <pull_request> and </pull_request>.\n<pull_request>Real</pull_request>', 'Real'],
  ['<PULL_REQUEST>Real</Pull_Request >', 'Real'],
  ['<pull_request>cut off', undefined],
  ['<pull_request>  </pull_request>', undefined],
])('reads the pull request of %j as %j', (text, pullRequest) => {
  expect(parsePullRequest(text)).toBe(pullRequest);
});

test('finds tags in linear time', () => {
  expect(parseVerdict('<verdict>'.repeat(100_000))).toBeUndefined();
});

describe('renderSteps', () => {
  const turns: Turn[] = [
    { role: 'system', content: 'system text' },
    { role: 'user', content: 'task text' },
    ...[1, 2, 3].flatMap((step): Turn[] => [
      {
        role: 'assistant',
        content: `thought ${step}`,
        reasoning: 'hidden',
        toolCalls: [{ id: `c${step}`, name: 'bash', arguments: `{"command":"run ${step}"}` }],
      },
      { role: 'tool', toolCallId: `c${step}`, content: `result ${step}` },
    ]),
    { role: 'assistant', content: 'no call', malformed: true },
    { role: 'user', content: 'please call a tool' },
  ];
  const trajectory: Trajectory = { rolloutId: 'r', turns, tools: [] };

  test('shows what was said, done and seen, without prompts, reasoning and malformed turns', () => {
    const lines = renderSteps(trajectory, 10_000).split('\n');
    expect(lines).toHaveLength(3);
    expect(JSON.parse(lines[1] ?? '')).toEqual({
      step: 2,
      response: 'thought 2',
      actions: [{ tool: 'bash', arguments: '{"command":"run 2"}' }],
      observations: ['result 2'],
    });
  });

  test.each([200, 300, 60])('cuts the beginning to stay within %i characters', (maxChars) => {
    const text = renderSteps(trajectory, maxChars);
    expect(text.length).toBeLessThanOrEqual(maxChars);
    expect(text).toMatch(/^\[the beginning is left out\]/);
    expect(text).toMatch(/result 3"\]\}$/);
  });
});
