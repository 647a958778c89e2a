import fc from 'fast-check';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkRow } from '../../dataset/check.ts';
import { toConversation, type Conversation } from '../../dataset/conversation.ts';
import type { Format } from '../../dataset/formats/format.ts';
import { formatOf } from '../../dataset/formats/formats.ts';
import { FORMAT_NAMES } from '../../dataset/formats/names.ts';
import { openLines, openParquet, readLines, readParquet } from '../../dataset/row-files.ts';
import { renderLine, toOrigin, type Example } from '../../dataset/row.ts';
import type { Trajectory, Turn } from '../../domain/trajectory.ts';
import { answer, call, opening, shortTrajectory } from './fixtures.ts';
import { hostileTrajectory, tools } from './hostile.ts';

const FORMATS: [string, Format][] = [
  ...FORMAT_NAMES.map((name): [string, Format] => [name, formatOf(name)]),
  ['openai with arguments as text', formatOf('openai', 'string')],
];

function exampleOf(trajectory: Trajectory, conversation: Conversation): Example {
  const origin = toOrigin({
    instanceId: 's1',
    rollout: 'headers/s1/rollout-2.1',
    recall: { exact: 0.75, sera: 1 },
    simulated: false,
    provenance: { commit: 'abc', model: 'glm-4.6', note: '\u2028' },
  });
  return { conversation, trajectory, origin };
}

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'twinpatch-formats-'))));
afterAll(() => rm(folder, { recursive: true }));

describe.each(FORMATS)('%s', (_name, format) => {
  test('gives back the very conversation, whatever it holds', () => {
    let kept = 0;
    fc.assert(
      fc.property(hostileTrajectory, fc.boolean(), (trajectory, maskFailed) => {
        const read = toConversation(trajectory, { chatTokens: 'escape', maskFailed });
        if ('lost' in read || format.lossOf(read.conversation) !== undefined) return;
        kept += 1;
        const example = exampleOf(trajectory, read.conversation);
        const line = renderLine(format.render(example));
        expect(line).not.toMatch(/[\n\u0085\u2028\u2029]/);
        const row: unknown = JSON.parse(line);
        expect(format.parse(row)).toEqual({
          conversation: read.conversation,
          origin: example.origin,
        });
      }),
      { numRuns: 150 },
    );
    expect(kept).toBeGreaterThan(10);
  });

  test('files give back the rows that went in', async () => {
    const long: Turn[] = [
      ...opening,
      { ...call('bash', { command: 'ls' }), reasoning: 'Look\u2028first.' } as Turn,
      answer('x'.repeat(5000)),
      call('bash', { command: 'make' }),
    ];
    const examples = [shortTrajectory.turns, long].map((turns) => {
      const trajectory = { rolloutId: 'r', turns, tools };
      const read = toConversation(trajectory);
      if ('lost' in read) throw new Error(read.lost);
      return exampleOf(trajectory, read.conversation);
    });
    const lines = join(
      folder,
      `${format.name}-${FORMATS.findIndex(([, each]) => each === format)}`,
    );
    const file = await openLines(lines);
    for (const example of examples) await file.append(format.render(example));
    await file.finish();
    await file.close();
    const read: unknown[] = [];
    for await (const line of readLines(lines)) read.push(format.parse(JSON.parse(line.toString())));
    const expected = examples.map(({ conversation, origin }) => ({ conversation, origin }));
    expect(read).toEqual(expected);

    if (format.columns === undefined) return;
    const parquet = await openParquet(`${lines}.parquet`, format.columns);
    for (const example of examples) await parquet.append(format.render(example));
    await parquet.finish();
    await parquet.close();
    const typed: unknown[] = [];
    for await (const row of readParquet(`${lines}.parquet`, format.columns))
      typed.push(format.parse(row));
    expect(typed).toEqual(expected);
  });
});

function rowOf(name: (typeof FORMAT_NAMES)[number], turns: Turn[]) {
  const trajectory = { rolloutId: 'r', turns, tools: shortTrajectory.tools };
  const read = toConversation(trajectory);
  if ('lost' in read) throw new Error(read.lost);
  return formatOf(name).render(exampleOf(trajectory, read.conversation));
}

const TWO_CALLS: Turn[] = [
  ...opening,
  {
    role: 'assistant',
    reasoning: 'Look first.\n',
    content: 'I list the files.\n',
    toolCalls: [
      { id: 'c1', name: 'bash', arguments: '{"command":"ls"}' },
      { id: 'c2', name: 'bash', arguments: '{ "command": "echo \\"ä\\"" }' },
    ],
  },
  answer('a.py'),
  answer('ä', 'c2'),
  call('bash', { command: 'submit' }),
];

describe('a row', () => {
  test('of hermes has the keys trainers and people rely on', () => {
    const row = rowOf('hermes', shortTrajectory.turns);
    expect(Object.keys(JSON.parse(renderLine(row)) as object)).toEqual([
      'messages',
      'tool_json',
      'instance_id',
      'rollout',
      'recall',
      'simulated',
      'provenance',
    ]);
    expect(row).toMatchObject({
      instance_id: 's1',
      recall: { exact: 0.75, sera: 1 },
      provenance: { commit: 'abc' },
      messages: [
        { role: 'system', train: false },
        { role: 'user', train: false },
        { role: 'assistant', train: true },
        { role: 'user', train: false },
        { role: 'assistant', train: true },
      ],
    });
    expect(checkRow(row, formatOf('hermes'))).toEqual([]);
  });

  test('has recalls that no reader takes for integers, and leaves what only looks like one', () => {
    const turns = [...opening, call('bash', { command: '"recall":{"exact":1,"sera":1}' })];
    const line = renderLine(rowOf('hermes', turns));
    expect(line).toContain('"recall":{"exact":0.75,"sera":1.0}');
    expect(JSON.parse(line)).toEqual(rowOf('hermes', turns));
  });

  test('of hermes writes tools, thoughts, text and calls in the Hermes manner', () => {
    const row = rowOf('hermes', TWO_CALLS);
    expect(row['messages']).toMatchObject([
      {
        content: expect.stringMatching(
          /^You repair programs\.\n\n# Tools\n[^]*<tools>\n\{"type": "function", /,
        ) as string,
      },
      {},
      {
        content:
          '<think>\nLook first.\n</think>\n\nI list the files.\n' +
          '<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}}\n</tool_call>\n' +
          '<tool_call>\n{"name": "bash", "arguments": {"command": "echo \\"ä\\""}}\n</tool_call>',
      },
      {
        role: 'user',
        content: '<tool_response>\na.py\n</tool_response>\n<tool_response>\nä\n</tool_response>',
      },
      {},
    ]);
  });

  test("of xml writes them in SWE-agent's manner", () => {
    expect(rowOf('xml', TWO_CALLS)['messages']).toMatchObject([
      {},
      {},
      {
        content:
          '<think>\nLook first.\n</think>\n\nI list the files.\n\n' +
          '<function=bash>\n<parameter=command>ls</parameter>\n</function>\n' +
          '<function=bash>\n<parameter=command>echo "ä"</parameter>\n</function>',
      },
      { role: 'user', content: 'OBSERVATION:\na.py\nOBSERVATION:\nä' },
      {},
    ]);
  });

  test('of sharegpt has turns in pairs, which LLaMA-Factory needs', () => {
    expect(rowOf('sharegpt', TWO_CALLS)).toMatchObject({
      system: 'You repair programs.',
      conversations: [
        { from: 'human' },
        {
          from: 'function_call',
          value: expect.stringMatching(
            /^<think>[^]*<tool_call>\n\[\{.*\}\]\n<\/tool_call>$/,
          ) as string,
        },
        { from: 'observation', value: 'a.py\n</tool_response>\n<tool_response>\nä' },
        { from: 'function_call' },
      ],
    });
  });

  test('of sharegpt is refused where a reply is not to be trained on: it could not say so', () => {
    const read = toConversation({
      ...shortTrajectory,
      turns: [
        ...opening,
        { role: 'assistant', content: 'x', malformed: true },
        { role: 'user', content: 'No.' },
        call('bash', {}),
      ],
    });
    if ('lost' in read) throw new Error(read.lost);
    expect(formatOf('sharegpt').lossOf(read.conversation)).toBe('untrained-reply');
    expect(formatOf('hermes').lossOf(read.conversation)).toBeUndefined();
  });

  test('of atif has each observation in the step that caused it, and steps without gaps', () => {
    expect(rowOf('atif', TWO_CALLS)).toMatchObject({
      schema_version: 'ATIF-v1.7',
      agent: { name: 'twinpatch', model_name: 'glm-4.6' },
      steps: [
        { step_id: 1, source: 'system' },
        { step_id: 2, source: 'user' },
        {
          step_id: 3,
          source: 'agent',
          tool_calls: [{ tool_call_id: 'call_3_1', arguments: { command: 'ls' } }, {}],
          observation: { results: [{ source_call_id: 'call_3_1', content: 'a.py' }, {}] },
        },
        { step_id: 4 },
      ],
    });
  });
});
