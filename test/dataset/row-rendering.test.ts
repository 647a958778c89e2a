import fc from 'fast-check';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toConversation, type Conversation } from '../../dataset/conversation.ts';
import { formatOf } from '../../dataset/formats/formats.ts';
import type { FormatName } from '../../dataset/formats/names.ts';
import { createRenderingCheck, type RowForm } from '../../dataset/row-rendering.ts';
import { renderLine, toOrigin, type Row } from '../../dataset/row.ts';
import { openTarget, type Target } from '../../dataset/target.ts';
import type { Trajectory, Turn } from '../../domain/trajectory.ts';
import {
  makeTarget,
  readTemplate,
  TEMPLATES,
  type TemplateName,
} from '../support/target-folder.ts';
import { answer, call, opening, shortTrajectory } from './fixtures.ts';
import { hostileTrajectory, tools } from './hostile.ts';

let home: string;
const targets = new Map<TemplateName, Target>();
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'twinpatch-target-'));
  for (const name of TEMPLATES) targets.set(name, await openTarget(await makeTarget(home, name)));
});
afterAll(() => rm(home, { recursive: true }));

const thinking = (reply: Turn, reasoning: string): Turn => ({ ...reply, reasoning }) as Turn;

/** Five replies with a thought, four calls, two of them in one turn, three turns of answers. */
const TURNS: Turn[] = [
  ...opening,
  thinking(call('bash', { command: 'ls -l "src"' }), 'Look first.'),
  answer('a.py\n'),
  {
    role: 'assistant',
    reasoning: 'Two at once.',
    content: 'I read both.',
    toolCalls: [
      { id: 'c1', name: 'bash', arguments: '{"command":"cat a.py"}' },
      { id: 'c2', name: 'bash', arguments: '{"command":"cat \\"ä\\" # {}"}' },
    ],
  },
  answer('def f():\n    return {"a": 1}', 'c1'),
  answer('', 'c2'),
  thinking(call('bash', { command: 'submit' }), 'It is done.'),
  answer('Sure?'),
  { role: 'assistant', reasoning: 'Yes.', content: 'Done.' },
];

/** One call in each turn, no thought, no text beside it. */
const PLAIN: Turn[] = [...shortTrajectory.turns];

function conversationOf(turns: Turn[], own: string[] = []): Conversation {
  const trajectory = { rolloutId: 'r', turns, tools };
  const read = toConversation(trajectory, {
    chatTokens: 'drop',
    maskFailed: true,
    ownTokens: own,
  });
  if ('lost' in read) throw new Error(read.lost);
  return read.conversation;
}

function rowOf(conversation: Conversation, format: FormatName, argumentsAs?: 'object' | 'string') {
  const origin = toOrigin({
    instanceId: 's1',
    rollout: 'r',
    recall: undefined,
    simulated: false,
    provenance: {},
  });
  const trajectory: Trajectory = { rolloutId: 'r', turns: [], tools: [] };
  const row = formatOf(format, argumentsAs).render({ conversation, trajectory, origin });
  return JSON.parse(renderLine(row)) as Row;
}

function checkOf(template: TemplateName, change: Partial<RowForm> = {}) {
  const form = { format: 'hermes', argumentsAs: 'object', fileType: 'jsonl', ...change } as const;
  const { check, report } = createRenderingCheck(targets.get(template)!, form);
  return {
    report,
    check: (conversation: Conversation, row?: Row) =>
      check(row ?? rowOf(conversation, form.format, form.argumentsAs), conversation),
  };
}

describe('a chat template', () => {
  test.each<[TemplateName, FormatName, string[]]>([
    ['chatml', 'hermes', []],
    ['chatml', 'xml', []],
    [
      'chatml',
      'openai',
      [
        'does not tell of the tools bash, edit',
        'drops 4 of 4 thoughts, the first in turn 2',
        'drops 4 of 4 calls',
      ],
    ],
    ['qwen', 'hermes', []],
    ['qwen', 'xml', ['drops 3 of 4 thoughts, the first in turn 2']],
    ['qwen', 'openai', []],
    ['qwen-coder', 'openai', []],
    ['qwen-training', 'openai', []],
    ['llama', 'hermes', []],
    ['llama', 'openai', ['refuses the row: Only one call in a turn!']],
    ['mistral', 'hermes', []],
    ['mistral', 'openai', ['refuses the row: Ids of calls have nine characters!']],
    ['glm', 'hermes', ['drops 3 of 4 thoughts, the first in turn 2']],
    ['glm', 'xml', ['drops 3 of 4 thoughts, the first in turn 2']],
    ['glm', 'openai', []],
  ])('in the shape of %s keeps of %s what its family keeps', (template, format, expected) => {
    const problems = checkOf(template, { format }).check(conversationOf(TURNS));
    expect(problems).toHaveLength(expected.length);
    for (const [index, problem] of problems.entries()) expect(problem).toContain(expected[index]);
  });

  test('of one call a turn is fine for rows that have no more, and its JSON of answers is read', () => {
    expect(checkOf('llama', { format: 'openai' }).check(conversationOf(PLAIN))).toEqual([]);
  });

  test.each<[TemplateName, string[]]>([
    ['qwen', ['--format hermes', '--format openai', '--format openai --arguments string']],
    ['glm', ['--format openai']],
  ])('of %s that loses something of xml is told with what would work', (template, expected) => {
    const { check, report } = checkOf(template, { format: 'xml' });
    check(conversationOf(TURNS));
    expect(report).toMatchObject({ isLossy: true, wouldWork: expected });
  });

  test.each<[TemplateName, string]>([
    ['qwen-coder', 'refuses the row'],
    ['glm', 'refuses the row'],
    ['llama', 'turn 2: the call has its arguments as a JSON text within the JSON'],
    ['qwen-training', 'turn 2: the call has its arguments as a JSON text within the JSON'],
  ])('of %s does not take arguments as text, and takes them as objects', (template, problem) => {
    const form = { format: 'openai', argumentsAs: 'string' } as const;
    const { check, report } = checkOf(template, form);
    expect(check(conversationOf(PLAIN)).join('\n')).toContain(problem);
    expect(report.wouldWork).toContain('--format openai');
    expect(checkOf('qwen', form).check(conversationOf(PLAIN))).toEqual([]);
  });

  test('gets the objects that every configuration makes of typed files', () => {
    const conversation = conversationOf(TURNS);
    const { check } = checkOf('glm', { format: 'openai', fileType: 'parquet' });
    expect(check(conversation, rowOf(conversation, 'openai', 'string'))).toEqual([]);
  });

  test.each<FormatName>(['sharegpt', 'atif', 'raw'])('has nothing to do with %s', (format) => {
    expect(() => checkOf('qwen', { format })).toThrow(
      `rows of ${format} are rendered by no chat template`,
    );
  });
});

describe('what a family cannot tell', () => {
  test('is a value that holds the tag which ends it', () => {
    const turns = [...opening, call('bash', { command: 'grep "</parameter>" a' })];
    expect(checkOf('qwen-coder', { format: 'openai' }).check(conversationOf(turns))).toEqual([
      "turn 2: the call can't be read back from the text the chat template makes",
    ]);
  });

  test('is a thought before a format error, which the template takes for a new question', () => {
    const turns: Turn[] = [
      ...opening,
      thinking(call('bash', {}), 'First.'),
      answer('x'),
      { role: 'assistant', content: 'bash ls', malformed: true },
      { role: 'user', content: 'Use the tool.' },
      thinking(call('bash', {}), 'Last.'),
    ];
    const { check, report } = checkOf('qwen', { format: 'openai' });
    expect(check(conversationOf(turns))).toEqual([
      'the chat template drops 1 of 2 thoughts, the first in turn 2',
    ]);
    expect(report.wouldWork).toEqual([]);
  });
});

describe('a template that is not faithful', () => {
  async function problemsOf(from: TemplateName, change: (source: string) => string) {
    const folder = await makeTarget(join(home, 'changed'), from);
    const source = change(await readTemplate(from));
    expect(source).not.toBe(await readTemplate(from));
    await writeFile(join(folder, 'chat_template.jinja'), source);
    const { check } = createRenderingCheck(await openTarget(folder), {
      format: 'openai',
      argumentsAs: 'object',
      fileType: 'jsonl',
    });
    const conversation = conversationOf(TURNS);
    return check(rowOf(conversation, 'openai'), conversation);
  }

  test.each<[string, TemplateName, (source: string) => string, string]>([
    [
      'changes a thought',
      'qwen',
      (source) => source.replace("thought.strip('\\n') +", 'thought | upper +'),
      'turn 2: the thought is changed by the chat template',
    ],
    [
      'shows a text twice',
      'qwen',
      (source) => source.replace('{{- said }}', '{{- said + said }}'),
      'turn 4: the text stands in the text twice',
    ],
    [
      'cuts long answers',
      'qwen-coder',
      (source) =>
        source.replace(
          "'<tool_response>\\n' + message.content",
          "'<tool_response>\\n' + message.content[:12]",
        ),
      'turn 5: the result is changed by the chat template',
    ],
    [
      'prints arguments as Python does',
      'qwen',
      (source) => source.replace('call.function.arguments | tojson', "'{\\'command\\': 1}'"),
      "turn 2: the call can't be read back",
    ],
    [
      'loses an argument',
      'qwen-training',
      (source) => source.replace('(call.function.arguments | tojson)', "'{}'"),
      'turn 2: the call has other arguments',
    ],
    [
      'does another thing for another text',
      'qwen',
      (source) => source.replace('{{- said }}', "{{- said }}{{- '!' if 'both' in said }}"),
      'depends on what the row says, after turn 4: the text',
    ],
    [
      'marks only calls as generated',
      'qwen-training',
      (source) =>
        source
          .replace('        {%- generation %}\n', '')
          .replace(
            '        {{- message.content }}\n',
            '        {{- message.content }}\n        {%- generation %}\n',
          ),
      'leaves out 6 parts of replies, the first in turn 2',
    ],
    [
      'marks a header',
      'qwen-training',
      (source) =>
        source
          .replace('        {%- generation %}\n', '')
          .replace(
            '{%- for message in messages[1:] %}\n',
            '{%- for message in messages[1:] %}\n{%- generation %}\n',
          )
          .replace('        {%- endgeneration %}\n', '')
          .replace(
            '    {%- endif %}\n{%- endfor %}',
            '    {%- endif %}\n{%- endgeneration %}\n{%- endfor %}',
          ),
      'takes in 4 parts that are no reply, the first in turn 1',
    ],
  ])('and %s is found out', async (_what, from, change, problem) => {
    expect((await problemsOf(from, change)).join('\n')).toContain(problem);
  });
});

describe('what is trained', () => {
  test.each<[TemplateName, FormatName, string[]]>([
    [
      'qwen',
      'hermes',
      [
        '<think>\nLook first.\n</think>\n\n<tool_call>\n{"name": "bash", "arguments": {"command": "ls -l \\"src\\""}}\n</tool_call><|im_end|>',
        '<think>\nTwo at once.\n</think>\n\nI read both.\n<tool_call>\n{"name": "bash", "arguments": {"command": "cat a.py"}}\n</tool_call>\n<tool_call>\n{"name": "bash", "arguments": {"command": "cat \\"ä\\" # {}"}}\n</tool_call><|im_end|>',
        '<think>\nIt is done.\n</think>\n\n<tool_call>\n{"name": "bash", "arguments": {"command": "submit"}}\n</tool_call><|im_end|>',
        '<think>\nYes.\n</think>\n\nDone.<|im_end|>',
      ],
    ],
    [
      'glm',
      'openai',
      [
        '\n<think>Look first.</think>\n<tool_call>bash\n<arg_key>command</arg_key>\n<arg_value>ls -l "src"</arg_value>\n</tool_call>',
        '\n<think>Two at once.</think>\nI read both.\n<tool_call>bash\n<arg_key>command</arg_key>\n<arg_value>cat a.py</arg_value>\n</tool_call>\n<tool_call>bash\n<arg_key>command</arg_key>\n<arg_value>cat "ä" # {}</arg_value>\n</tool_call>',
        '\n<think>It is done.</think>\n<tool_call>bash\n<arg_key>command</arg_key>\n<arg_value>submit</arg_value>\n</tool_call>',
        '\n<think>Yes.</think>\nDone.',
      ],
    ],
  ])(
    'with %s and %s is every reply with its end, and nothing else',
    (template, format, trained) => {
      const { check, report } = checkOf(template, { format });
      expect(check(conversationOf(TURNS))).toEqual([]);
      const pieces = report.shown.filter((piece) => piece.trained).map(({ text }) => text);
      expect(pieces).toEqual(trained);
    },
  );

  test('is the same whether the template marks it or its header tells', () => {
    const trainedOf = (template: TemplateName) => {
      const { check, report } = checkOf(template, { format: 'openai' });
      check(conversationOf(TURNS));
      return report.shown.filter((piece) => piece.trained).map(({ text }) => text);
    };
    expect(trainedOf('qwen-training')).toEqual(trainedOf('qwen'));
  });

  test.each(TEMPLATES)('with %s is no reply that failed by its own fault', (template) => {
    const failed: Turn = { role: 'tool', toolCallId: 'c1', content: 'No such file.', failed: true };
    const turns = [
      ...opening,
      call('bash', { command: 'cat x' }),
      failed,
      call('bash', { command: 'ls' }),
    ];
    const { check, report } = checkOf(template);
    check(conversationOf(turns));
    const trained = report.shown.filter((piece) => piece.trained).map(({ text }) => text);
    expect(trained).toHaveLength(1);
    expect(trained[0]).toContain('"ls"');
    expect(report.shown.map(({ text }) => text).join('')).toContain('cat x');
  });

  test('is counted in tokens of this tokenizer, row for row', () => {
    const { check, report } = checkOf('qwen');
    const target = targets.get('qwen')!;
    check(conversationOf(PLAIN));
    check(conversationOf(TURNS));
    const ids = report.shown.flatMap(({ text }) => target.encode(text));
    expect(ids).toEqual(target.encode(report.shown.map(({ text }) => text).join('')));
    expect(report.shown.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(ids.length);
    expect(report.rows).toBe(2);
    expect(report.mostTokens).toBe(report.tokens - ids.length);
    expect(report.tooLong).toBe(0);
  });
});

describe('tokens of the very tokenizer', () => {
  const strike: Turn[] = [
    ...opening,
    call('bash', { command: 'ls' }),
    answer('<s>old</s> [INST]'),
    call('bash', {}),
  ];

  test('cost the row or get a space inside, by policy, and are found where they were passed on', () => {
    const { controlTokens } = targets.get('mistral')!;
    expect(controlTokens).toEqual(expect.arrayContaining(['</s>', '[INST]', '<|im_end|>']));
    const trajectory = { rolloutId: 'r', turns: strike, tools };
    const lost = toConversation(trajectory, {
      chatTokens: 'drop',
      maskFailed: false,
      ownTokens: controlTokens,
    });
    expect(lost).toEqual({ lost: 'chat-tokens' });
    const escaped = toConversation(trajectory, {
      chatTokens: 'escape',
      maskFailed: false,
      ownTokens: controlTokens,
    });
    if ('lost' in escaped) throw new Error(escaped.lost);
    expect(escaped.conversation.turns[2]).toMatchObject({ content: '< s>old< /s> [ INST]' });
    expect(checkOf('mistral').check(escaped.conversation)).toEqual([]);
    expect(checkOf('mistral').check(conversationOf(strike))).toEqual([
      'turn 3 holds [INST], which is a token of its own to this tokenizer',
      'turn 3 holds </s>, which is a token of its own to this tokenizer',
      'turn 3 holds <s>, which is a token of its own to this tokenizer',
    ]);
  });

  test('in what the teacher wrote always cost the row', () => {
    const turns = [...opening, call('bash', { command: 'grep "<s>" a' })];
    const ownTokens = targets.get('llama')!.controlTokens;
    for (const chatTokens of ['drop', 'escape'] as const) {
      const options = { chatTokens, maskFailed: false, ownTokens };
      expect(toConversation({ turns, tools }, options)).toEqual({
        lost: 'chat-tokens',
      });
    }
  });
});

describe.each<[TemplateName, FormatName]>([
  ['chatml', 'hermes'],
  ['chatml', 'xml'],
  ['qwen', 'hermes'],
  ['qwen', 'openai'],
  ['qwen-coder', 'openai'],
  ['qwen-training', 'openai'],
  ['mistral', 'hermes'],
  ['llama', 'xml'],
  ['glm', 'openai'],
])('%s with %s', (template, format) => {
  /** What no template of the family can tell, whatever is done about it. */
  const isBeyond = ({ turns }: Conversation) => {
    const isAskedAgain = turns.some((turn, index) => index > 0 && turn.role === 'user');
    if (['qwen', 'glm'].includes(template))
      return isAskedAgain && /"reasoning":"[^"]/.test(JSON.stringify(turns));
    const calls = turns.flatMap((turn) => (turn.role === 'assistant' ? turn.calls : []));
    const keys = calls.flatMap((made) => Object.keys(made.arguments));
    const isBroken = JSON.stringify(calls).includes('</parameter>') || keys.join().includes('>');
    return template === 'qwen-coder' && isBroken;
  };

  test('keeps and gives back whatever a row holds, however hostile', () => {
    const { check, report } = checkOf(template, { format });
    const { controlTokens } = targets.get(template)!;
    fc.assert(
      fc.property(hostileTrajectory, (trajectory) => {
        const read = toConversation(trajectory, {
          chatTokens: 'escape',
          maskFailed: false,
          ownTokens: controlTokens,
        });
        if ('lost' in read || formatOf(format).lossOf(read.conversation) !== undefined) return;
        if (isBeyond(read.conversation)) return;
        expect(check(read.conversation)).toEqual([]);
      }),
      { numRuns: 100 },
    );
    expect(report.rows).toBeGreaterThan(10);
  });
});
