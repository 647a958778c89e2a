import { afterEach, describe, expect, test } from 'vitest';
import { type RolloutProgress, runRollout } from '../../agent/loop.ts';
import type { RolloutLimits, RolloutPlan } from '../../agent/plan.ts';
import { toTrajectory } from '../../agent/trajectory.ts';
import { TeacherError } from '../../domain/ports.ts';
import {
  bash,
  createTeacher,
  editor,
  planWith,
  type ScriptedReply,
  submit,
} from '../support/agent-script.ts';
import { type AgentSandbox, createAgentSandbox } from '../support/agent-sandbox.ts';
import { createMemoryJournal } from '../support/memory-journal.ts';
import { createMemorySandbox } from '../support/memory-sandbox.ts';

const opened: AgentSandbox[] = [];
afterEach(() => Promise.all(opened.splice(0).map((sandbox) => sandbox.close())));

async function rollout(
  script: (ScriptedReply | Error)[],
  plan: RolloutPlan = planWith(),
  {
    files = { 'a.py': 'x = 1\n' },
    signal = neverAborts,
  }: { files?: Record<string, string>; signal?: AbortSignal } = {},
) {
  const sandbox = await createAgentSandbox(files);
  opened.push(sandbox);
  const teacher = createTeacher(script);
  const journal = createMemoryJournal();
  const progress: RolloutProgress[] = [];
  const go = () =>
    runRollout(plan, { teacher, sandbox, journal }, signal, (each) => progress.push(each));
  const contents = () =>
    toTrajectory(plan, journal.entries).turns.flatMap((turn) =>
      turn.role === 'tool' || turn.role === 'user' ? [turn.content] : [],
    );
  return { go, sandbox, teacher, journal, progress, contents, plan };
}

const neverAborts = new AbortController().signal;

describe('a call that was a mistake', () => {
  test('is marked in the trajectory, and a command that ran and failed is none', async () => {
    const { go, journal, plan } = await rollout([
      bash('no-such-command'),
      bash('false'),
      editor({ command: 'str_replace', path: 'a.py', old_str: 'nowhere', new_str: '2' }),
      bash('ls'),
      submit,
    ]);
    await go();
    const answers = toTrajectory(plan, journal.entries).turns.filter(({ role }) => role === 'tool');
    expect(answers.map(({ failed = false }) => failed).slice(0, 4)).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });
});

describe('submitting', () => {
  test('shows the whole change for review first, and ends at the second call', async () => {
    const { go, contents, teacher } = await rollout([
      editor({ command: 'str_replace', path: 'a.py', old_str: '1', new_str: '2' }),
      bash(
        'echo check > new.sh; git add . && git -c user.name=a -c user.email=a@b commit -qm mine',
      ),
      submit,
      bash('rm new.sh'),
      submit,
    ]);
    const run = await go();
    expect(run).toMatchObject({ status: 'submitted', steps: 5, toolCalls: 5, simulated: true });
    expect(run).toMatchObject({ model: 'scripted', serviceMs: 25, costUsd: 0.05 });
    expect(run.usage).toMatchObject({ inputTokens: 500, outputTokens: 50 });
    expect(teacher.calls.map(({ step, try: tried }) => [step, tried])).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
      [4, 1],
      [5, 1],
    ]);
    const [, , , review, , final] = contents();
    expect(review).toMatch(/^Review this:[^]*-x = 1\n\+x = 2[^]*\+check/);
    expect(final).toMatch(/final change[^]*\+x = 2$/);
  });

  test('leaves the git state of the agent as it is', async () => {
    const { go, contents } = await rollout([
      bash('echo 1 > new.txt'),
      submit,
      bash('git status --porcelain'),
      submit,
    ]);
    await go();
    expect(contents()[3]).toBe('?? new.txt');
  });

  test('goes on when the agent broke its repository', async () => {
    const { go, contents } = await rollout([bash('rm -rf .git'), submit, submit]);
    expect((await go()).status).toBe('submitted');
    expect(contents()[2]).toContain('git cannot show the change');
  });

  test('says when nothing was changed', async () => {
    const { go, contents } = await rollout([submit, submit]);
    await go();
    expect(contents()[1]).toBe('Review this:\n[nothing has been changed]');
  });

  test('clips a very long change in the middle', async () => {
    const { go, contents } = await rollout([bash('seq 9000 > long.txt'), submit, submit]);
    await go();
    expect(contents()[2]).toMatch(/^.*\n.*long.txt[^]*characters left out[^]*\+9000$/);
    expect(contents()[2]?.length).toBeLessThan(8100);
  });
});

test('a turn tells which rules brought it into form', async () => {
  const repair = { call: 0, was: '{}""' };
  const { go, journal, plan } = await rollout([
    {
      ...bash('ls'),
      repairs: [
        { rule: 'call-id', ...repair },
        { rule: 'trailing-text', ...repair },
      ],
    },
    {
      ...bash('ls'),
      repairs: [
        { rule: 'call-id', ...repair },
        { rule: 'call-id', ...repair },
      ],
    },
    submit,
    submit,
  ]);
  await go();
  const turns = toTrajectory(plan, journal.entries).turns.filter(
    ({ role }) => role === 'assistant',
  );
  expect(turns.map(({ repairs }) => repairs)).toEqual([
    ['call-id', 'trailing-text'],
    ['call-id'],
    undefined,
    undefined,
  ]);
});

test('working directory carries over from command to command', async () => {
  const { go, contents } = await rollout([
    bash('mkdir -p sub && cd sub'),
    bash('pwd'),
    submit,
    submit,
  ]);
  await go();
  expect(contents()[2]).toBe('/testbed/sub');
});

test('each request carries the whole conversation, and the tools', async () => {
  const { go, teacher } = await rollout([bash('echo hello'), submit, submit]);
  await go();
  const [first, second] = teacher.requests;
  expect(first?.messages).toEqual([
    { role: 'system', content: 'You are an engineer.' },
    { role: 'user', content: 'Look at /testbed.' },
  ]);
  expect(second?.messages.slice(2)).toEqual([
    {
      role: 'assistant',
      content: 'I run echo hello.',
      toolCalls: [{ id: 'c1-0', name: 'bash', arguments: '{"command":"echo hello"}' }],
    },
    { role: 'tool', toolCallId: 'c1-0', content: 'hello' },
  ]);
  expect(second?.tools?.map((tool) => tool.function.name)).toEqual([
    'bash',
    'str_replace_editor',
    'submit',
  ]);
});

test('reports which step is under way, and what was spent', async () => {
  const { go, progress } = await rollout([submit, submit]);
  await go();
  expect(progress).toEqual([
    { step: 1, phase: 'teacher', tokens: 0, costUsd: 0 },
    { step: 1, phase: 'tool', tokens: 110, costUsd: 0.01 },
    { step: 2, phase: 'teacher', tokens: 110, costUsd: 0.01 },
    { step: 2, phase: 'tool', tokens: 220, costUsd: 0.02 },
  ]);
});

describe('malformed replies', () => {
  test('are answered and not executed, and a good one starts the count again', async () => {
    const bad: ScriptedReply = { calls: [{ name: 'bash', args: '{"command": "touch bad' }] };
    const { go, contents, sandbox, journal, plan } = await rollout([
      bad,
      bad,
      bash('ls'),
      bad,
      bad,
      submit,
      submit,
    ]);
    expect(await go()).toMatchObject({ status: 'submitted', steps: 7, toolCalls: 3 });
    expect(sandbox.ran).toHaveLength(3);
    expect(contents()[1]).toContain('not a JSON object');
    const turns = toTrajectory(plan, journal.entries).turns;
    expect(turns.filter((turn) => turn.malformed)).toHaveLength(4);
    expect(turns[2]).toMatchObject({ toolCalls: [{ arguments: '{}' }] });
    expect(JSON.stringify(journal.entries)).toContain('touch bad');
  });

  test('end the rollout after three in a row', async () => {
    const { go, contents } = await rollout([{ content: 'I think.' }]);
    expect(await go()).toMatchObject({ status: 'format-errors', steps: 3, toolCalls: 0 });
    expect(contents()[1]).toContain('held no tool call');
  });

  test('with several calls get an answer for each of them', async () => {
    const two = { name: 'bash', args: { command: 'ls' } };
    const { go, teacher, sandbox } = await rollout([{ calls: [two, two] }, submit, submit]);
    await go();
    expect(sandbox.ran).toHaveLength(2);
    const answers = teacher.requests[1]?.messages.slice(3) ?? [];
    expect(answers.map((each) => each.role === 'tool' && each.toolCallId)).toEqual([
      'c1-0',
      'c1-1',
    ]);
  });
});

describe('several calls in a turn', () => {
  const several = (...commands: string[]): ScriptedReply => ({
    calls: commands.map((command) => ({ name: 'bash', args: { command } })),
  });

  test('run in their order when the setting allows it', async () => {
    const { go, contents } = await rollout(
      [
        { calls: [...(several('echo 1 > f', 'cat f').calls ?? []), { name: 'submit', args: {} }] },
        submit,
      ],
      planWith({}, 'several'),
    );
    expect(await go()).toMatchObject({ status: 'submitted', steps: 2, toolCalls: 4 });
    expect(contents()[2]).toBe('1');
  });

  test('stop in the middle when a limit is reached', async () => {
    const { go, sandbox } = await rollout(
      [several('sleep 9', 'sleep 9', 'sleep 9', 'echo 4')],
      planWith({ commandTimeoutMs: 20 }, 'several'),
    );
    expect((await go()).status).toBe('command-timeouts');
    expect(sandbox.ran).toHaveLength(3);
  });
});

describe('every limit has a name', () => {
  const quick = bash('10 ms');
  test.each<[string, ScriptedReply[], Partial<RolloutLimits>, number]>([
    ['step-limit', [quick], { maxSteps: 2 }, 2],
    ['step-limit', [submit], { maxSteps: 1 }, 1],
    ['command-timeouts', [bash('hang')], {}, 3],
    ['disk-limit', [bash('flood')], {}, 1],
    [
      'step-limit',
      [bash('hang'), quick, bash('hang')],
      { maxConsecutiveTimeouts: 2, maxSteps: 3 },
      3,
    ],
    ['tool-time-limit', [quick], { maxToolTimeMs: 50 }, 5],
    ['token-limit', [quick], { maxTokens: 300 }, 3],
    ['time-limit', [{ ...quick, durationMs: 90 }], { maxWallTimeMs: 300 }, 3],
    ['cost-limit', [quick], { maxCostUsd: 0.02 }, 2],
    ['step-limit', [{ ...quick, costUsd: null }], { maxCostUsd: 0.02, maxSteps: 4 }, 4],
    ['format-errors', [{}], { maxFormatErrors: 1 }, 1],
    ['submitted', [quick, submit, { ...submit, inputTokens: 1e9, durationMs: 1e9 }], {}, 3],
  ])('%s with %j and %j', async (status, script, limits, steps) => {
    const ports = {
      teacher: createTeacher(script),
      sandbox: createMemorySandbox(),
      journal: createMemoryJournal(),
    };
    expect(await runRollout(planWith(limits), ports, neverAborts)).toMatchObject({ status, steps });
  });

  test('context-limit, when the teacher refuses the conversation as too long; also for the next owner', async () => {
    const { go, teacher } = await rollout([bash('ls'), new TeacherError('context', 'too long')]);
    expect(await go()).toMatchObject({ status: 'context-limit', steps: 1 });
    expect(await go()).toMatchObject({ status: 'context-limit', steps: 1 });
    expect(teacher.calls).toHaveLength(2);
  });

  test('a command that ran out of time is told so, with what it printed', async () => {
    const { go, contents } = await rollout(
      [bash('echo started; sleep 9')],
      planWith({ commandTimeoutMs: 100, maxConsecutiveTimeouts: 1 }),
    );
    await go();
    expect(contents()[1]).toMatch(/^started\n\[killed after 0.1 s; every process/);
  });
});

test('an unknown price makes the cost unknown, not zero', async () => {
  const { go } = await rollout([{ ...bash('ls'), costUsd: null }, submit, submit]);
  expect((await go()).costUsd).toBeNull();
});

test.each(['rate-limit', 'unavailable', 'auth', 'unknown-model', 'bad-request', 'budget'] as const)(
  'an endpoint that answers with %s ends nothing: the next owner asks the same step once more',
  async (kind) => {
    const script = [bash('ls'), new TeacherError(kind, 'no'), submit];
    const { go, teacher } = await rollout(script);
    await expect(go()).rejects.toThrow(TeacherError);
    script[1] = submit;
    expect(await go()).toMatchObject({ status: 'submitted', steps: 3 });
    expect(teacher.calls.map((call) => `${call.step}.${call.try}`)).toEqual([
      '1.1',
      '2.1',
      '2.2',
      '3.1',
    ]);
  },
);

describe('an abort', () => {
  test('leaves with its reason before the first call', async () => {
    const { go, teacher } = await rollout([submit], planWith(), {
      signal: AbortSignal.abort('drain'),
    });
    await expect(go()).rejects.toBe('drain');
    expect(teacher.calls).toHaveLength(0);
  });

  test('leaves with its reason from within a command', async () => {
    const abort = new AbortController();
    const { go } = await rollout([bash('sleep 9')], planWith(), { signal: abort.signal });
    const reason = new Error('drain');
    setTimeout(() => abort.abort(reason), 50);
    await expect(go()).rejects.toBe(reason);
  });

  test('keeps a reply that arrives all the same: it is paid', async () => {
    const abort = new AbortController();
    const { journal, sandbox, plan } = await rollout([]);
    const teacher = createTeacher([bash('ls')]);
    const late = {
      complete: async (...args: Parameters<typeof teacher.complete>) => {
        abort.abort('drain');
        return teacher.complete(...args);
      },
    };
    const going = runRollout(plan, { teacher: late, sandbox, journal }, abort.signal);
    await expect(going).rejects.toBe('drain');
    expect(journal.entries.map(({ kind }) => kind)).toEqual(['sent', 'reply']);
    expect(sandbox.ran).toHaveLength(0);
  });
});
