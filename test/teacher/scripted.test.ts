import { describe, expect, it, onTestFinished } from 'vitest';
import { runRollout } from '../../agent/loop.ts';
import { batchConfigSchema } from '../../domain/config.ts';
import { type Policy, POLICIES } from '../../domain/teacher-config.ts';
import { leakOf } from '../../domain/leak.ts';
import type { CallId } from '../../domain/ports.ts';
import {
  parsePullRequest,
  parseVerdict,
  promptsOf,
  render,
  renderSteps,
} from '../../domain/prompts.ts';
import { recall } from '../../domain/recall.ts';
import type { Turn } from '../../domain/trajectory.ts';
import { extractFunctions } from '../../repository/functions.ts';
import { languageOf } from '../../repository/languages.ts';
import { answer } from '../../teacher/scripted/answer.ts';
import { startScriptedTeacher } from '../../teacher/scripted/server.ts';
import { parseRequest } from '../../teacher/scripted/wire.ts';
import { createAgentSandbox, PATCH_COMMAND } from '../support/agent-sandbox.ts';
import { createMemoryJournal } from '../support/memory-journal.ts';
import { startTeacher } from './loopback.ts';

const FILES: Record<string, string> = {
  'http/headers.py': `"""Headers."""


class Header:
    def parse(self, text: str, separator: str = ":") -> tuple[str, str]:
        """Splits a header.

        Blanks around both parts are dropped.
        """
        name, _, value = text.partition(separator)
        if not name:
            raise ValueError(text)
        return name.strip(), value.strip()

    def other(self):
        return self.parse("a: b")
`,
  'http/cookies.py': 'def cookie(value):\n    return value\n',
  'src/list.ts': `export const compact = <T>(items: T[], limit = 10): T[] => {
  const kept = items.filter(Boolean);
  return kept.slice(0, limit);
};

export class Store {
  private readonly all: string[] = [];

  async add({ name }: { name: string }): Promise<number> {
    this.all.push(name);
    return this.all.length;
  }
}
`,
  'src/old.js': `'use strict';
exports.join = function join(parts, glue) {
  'use strict';
  var text = parts.join(glue);
  return text;
};
`,
  'pkg/count.go': `package pkg

// Count counts.
func (c *Counter) Count(words []string) (int, error) {
	total := 0
	for range words {
		total++
	}
	return total, nil
}
`,
};

const FUNCTIONS = [
  ['Header.parse', 'http/headers.py'],
  ['compact', 'src/list.ts'],
  ['Store.add', 'src/list.ts'],
  ['join', 'src/old.js'],
  ['Counter.Count', 'pkg/count.go'],
] as const;

const INSTRUCTIONS = [
  'Something is off around `{{ function }}` in `{{ file }}`. Please put it right.',
  'The naming around `{{ function }}` in `{{ file }}` could be better.',
  'I doubt that `{{ function }}` in `{{ file }}` copes with all input.',
];

const PROMPTS = promptsOf(batchConfigSchema.shape.prompts.parse({}));
const CONFIG = batchConfigSchema.shape.teacher.parse({ scripted: {} });
const LIMITS = { ...batchConfigSchema.shape.rollout.parse({}), maxSteps: 25 };

function instruct(index: number, name: string, file: string): string {
  return render({ name: 'instruction', text: INSTRUCTIONS[index] ?? '' }, { function: name, file });
}

/** A teacher that always plays one policy, and the stages of a sample played with it. */
async function start(policy: Policy, options: { faultRate?: number; seed?: number } = {}) {
  const { seed = 7, faultRate = 0 } = options;
  const policies = { [policy]: 1 };
  const server = await startScriptedTeacher({ seed, latencyMs: 0, faultRate, policies });
  onTestFinished(() => server.close());
  const { teacher, waited } = startTeacher([server], { config: { deadlines: CONFIG.deadlines } });
  const signal = new AbortController().signal;

  async function rollout(statement: string) {
    const sandbox = await createAgentSandbox(FILES);
    onTestFinished(() => sandbox.close());
    const journal = createMemoryJournal();
    const plan = {
      rolloutId: 'b/s/rollout-1.1',
      systemPrompt: render(PROMPTS.system, {}),
      taskPrompt: render(PROMPTS.task, { repository: '/testbed', statement }),
      review: PROMPTS.review,
      limits: LIMITS,
      callsPerTurn: 'one' as const,
    };
    const run = await runRollout(plan, { teacher, sandbox, journal }, signal);
    const { output: patch } = await sandbox.run(PATCH_COMMAND);
    const replies = journal.entries.flatMap((entry) =>
      entry.kind === 'reply' ? [entry.reply] : [],
    );
    const turns: Turn[] = journal.entries.flatMap((entry): Turn[] => {
      if (entry.kind === 'reply') return [entry.reply.message];
      if (entry.kind !== 'observation') return [];
      const { toolCallId = '', content } = entry.observation;
      return [{ role: 'tool', toolCallId, content }];
    });
    const work = renderSteps({ rolloutId: plan.rolloutId, turns, tools: [] }, 200_000);
    return { ...run, patch, replies, work, sandbox };
  }

  async function ask(prompt: string): Promise<string> {
    const call: CallId = { scope: 'b/s/stage', step: 1, try: 1 };
    const { message } = await teacher.complete(
      { messages: [{ role: 'user', content: prompt }] },
      call,
      signal,
    );
    return message.content;
  }

  const describeWork = async (steps: string) =>
    parsePullRequest(
      await ask(
        render(PROMPTS.syntheticPr, {
          demonstration: 'In `other` in `else/where.py` something else is wrong.',
          steps,
        }),
      ),
    );
  const judge = async (instruction: string, steps: string) =>
    parseVerdict(await ask(render(PROMPTS.selfCheck, { instruction, steps })));

  async function sample(name: string, file: string, instruction = 0) {
    const statement = instruct(instruction, name, file);
    const first = await rollout(statement);
    const verdict = await judge(statement, first.work);
    const pr = await describeWork(first.work);
    if (pr === undefined) throw new Error('the teacher wrote no pull request');
    const second = await rollout(pr);
    return { first, verdict, pr, second, figures: recall(first.patch, second.patch, 'exact') };
  }
  return { rollout, judge, sample, waited };
}

describe('reproduce', () => {
  it.each(FUNCTIONS)('finds, changes and reproduces %s in %s', async (name, file) => {
    const { sample } = await start('reproduce');
    const { first, verdict, pr, second, figures } = await sample(name, file);
    expect(first).toMatchObject({ status: 'submitted', simulated: true });
    expect(first.steps).toBeGreaterThanOrEqual(6);
    expect(first.steps).toBeLessThanOrEqual(12);
    expect(verdict).toBe('yes');
    expect(pr).toContain(`\`${name}\` in \`${file}\``);
    expect(leakOf(pr, first.patch).score).toBeLessThanOrEqual(0.5);
    expect(second.status).toBe('submitted');
    expect(second.patch).toBe(first.patch);
    expect(figures.recall).toBe(1);
    expect(figures.targetLines).toBeGreaterThan(2);

    const language = languageOf(file);
    const before = FILES[file] ?? '';
    const after = (await first.sandbox.bytes(file)).toString();
    if (language === undefined) throw new Error(`no language for ${file}`);
    const names = async (text: string) =>
      (await extractFunctions(text, language)).map((found) => found.name);
    // A function with a syntax error is left out of the list.
    expect(await names(after)).toEqual(await names(before));
  });

  it('changes a function in another way for another instruction', async () => {
    const { rollout } = await start('reproduce');
    const patches = new Set<string>();
    for (const index of INSTRUCTIONS.keys()) {
      patches.add((await rollout(instruct(index, 'compact', 'src/list.ts'))).patch);
    }
    expect(patches.size).toBe(INSTRUCTIONS.length);
  });

  it('thinks in some turns, talks in others, and reports usage that grows with the conversation', async () => {
    const { rollout } = await start('reproduce');
    const { replies } = await rollout(instruct(0, 'Header.parse', 'http/headers.py'));
    expect(replies.some(({ message }) => message.reasoning !== undefined)).toBe(true);
    expect(replies.some(({ message }) => message.content !== '')).toBe(true);
    const inputs = replies.map(({ usage }) => usage.inputTokens);
    expect(inputs).toEqual([...inputs].sort((a, b) => a - b));
    expect(replies[0]?.usage.cachedInputTokens).toBe(0);
    const last = replies.at(-1)?.usage;
    expect(last?.cachedInputTokens).toBeGreaterThan((last?.inputTokens ?? 0) / 2);
  });
});

it.each([FUNCTIONS[0], FUNCTIONS[2], FUNCTIONS[4]])(
  'partial makes only part of the change to %s in %s',
  async (name, file) => {
    const { sample } = await start('partial');
    const { figures, second } = await sample(name, file);
    expect(second.status).toBe('submitted');
    expect(figures.recall).toBeGreaterThan(0);
    expect(figures.recall).toBeLessThan(1);
  },
);

it.each([
  ['Header.parse', 'http/headers.py'],
  ['Counter.Count', 'pkg/count.go'],
])('wrong-file changes another file than that of %s', async (name, file) => {
  const { sample } = await start('wrong-file');
  const { figures, second } = await sample(name, file);
  expect(second.status).toBe('submitted');
  expect(figures).toMatchObject({ recall: 0 });
  expect(figures.producedLines).toBeGreaterThan(0);
  expect(second.patch).not.toContain(`b/${file}`);
});

it('never-submits works on until the step limit', async () => {
  const { rollout } = await start('never-submits');
  const run = await rollout(instruct(0, 'compact', 'src/list.ts'));
  expect(run).toMatchObject({ status: 'step-limit', steps: LIMITS.maxSteps });
});

it('malformed-call goes on well after its broken turns', async () => {
  const { sample } = await start('malformed-call');
  const { first, figures } = await sample('compact', 'src/list.ts');
  expect(first.status).toBe('submitted');
  expect(first.steps - first.toolCalls).toBe(2);
  expect(figures.recall).toBe(1);
});

it('empty-patch submits without a change', async () => {
  const { rollout } = await start('empty-patch');
  const run = await rollout(instruct(0, 'compact', 'src/list.ts'));
  expect(run.status).toBe('submitted');
  expect(run.patch).toBe('');
});

it('self-check-no makes a change and says no to it', async () => {
  const { rollout, judge } = await start('self-check-no');
  const statement = instruct(0, 'compact', 'src/list.ts');
  const run = await rollout(statement);
  expect(run.patch).not.toBe('');
  expect(await judge(statement, run.work)).toBe('no');
});

it('a function that is not there ends in a submit all the same', async () => {
  const { rollout } = await start('reproduce');
  expect(await rollout(instruct(0, 'gone', 'no/such.py'))).toMatchObject({
    status: 'submitted',
    patch: '',
  });
});

describe('faults', () => {
  it('delay the replies and change nothing in them', async () => {
    const quiet = await start('reproduce');
    const faulty = await start('reproduce', { faultRate: 1 });
    const statement = instruct(0, 'Header.parse', 'http/headers.py');
    const [expected, got] = [await quiet.rollout(statement), await faulty.rollout(statement)];
    const texts = ({ replies }: typeof got) => replies.map(({ message }) => message);
    expect(texts(got)).toEqual(texts(expected));
    expect(got.patch).toBe(expected.patch);
    expect(quiet.waited).toEqual([]);
    expect(faulty.waited).toHaveLength(got.replies.length);
  });
});

describe('the reply to a conversation', () => {
  const request = parseRequest({
    messages: [{ role: 'user', content: instruct(0, 'compact', 'src/list.ts') }],
    tools: [{}],
  });
  if (request === undefined) throw new Error('no request');

  it('is always the same', () => {
    const policies = { reproduce: 1 };
    expect(answer(request, { seed: 1, policies })).toEqual(answer(request, { seed: 1, policies }));
  });

  it('plays every policy on some function, in about the shares asked for', () => {
    const policies = { ...Object.fromEntries(POLICIES.map((policy) => [policy, 1])), reproduce: 3 };
    let noes = 0;
    for (let index = 0; index < 900; index += 1) {
      const prompt = `\`f${index}\` in \`a.py\`: answer <verdict>yes</verdict> or <verdict>no</verdict>`;
      const judged = parseRequest({ messages: [{ role: 'user', content: prompt }] });
      if (judged === undefined) throw new Error('no request');
      if (answer(judged, { seed: 7, policies }).content.includes('<verdict>no')) noes += 1;
    }
    expect(noes).toBeGreaterThan(60);
    expect(noes).toBeLessThan(140);
  });
});

describe('the server', () => {
  it('lists its model and refuses what it does not know', async () => {
    const server = await startScriptedTeacher({
      seed: 7,
      latencyMs: 0,
      faultRate: 0,
      policies: {},
    });
    onTestFinished(() => server.close());
    const models = (await (await fetch(`${server.baseUrl}/models`)).json()) as {
      data: { id: string }[];
    };
    expect(models.data.map(({ id }) => id)).toEqual(['scripted']);
    expect((await fetch(`${server.baseUrl}/embeddings`)).status).toBe(404);
    const empty = await fetch(`${server.baseUrl}/chat/completions`, { method: 'POST', body: '{}' });
    expect(empty.status).toBe(400);
  });

  it('says the same plainly as in a stream', async () => {
    const server = await startScriptedTeacher({
      seed: 7,
      latencyMs: 0,
      faultRate: 0,
      policies: { reproduce: 1 },
    });
    onTestFinished(() => server.close());
    const { ask } = startTeacher([server]);
    const messages = [{ role: 'user' as const, content: instruct(1, 'compact', 'src/list.ts') }];
    const plain = await fetch(`${server.baseUrl}/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: 'x', messages }),
    });
    const body = (await plain.json()) as {
      system_fingerprint: string;
      choices: { message: { content: string } }[];
    };
    const streamed = await ask(messages);
    expect(streamed.simulated).toBe(true);
    expect(body.system_fingerprint).toBe('twinpatch-scripted');
    expect(body.choices[0]?.message.content).toBe(streamed.message.content);
  });
});
