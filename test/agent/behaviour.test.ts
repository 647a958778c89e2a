import { expect, test } from 'vitest';
import { compareBehaviour } from '../../agent/behaviour.ts';
import type { Trajectory, Turn } from '../../domain/trajectory.ts';

type Call = [tool: string, args: unknown, how?: 'failed' | 'malformed'];

function toTrajectory(calls: Call[]): Trajectory {
  const turns = calls.flatMap(([name, args, how], index): Turn[] => {
    const id = `call_${index}`;
    const text = typeof args === 'string' ? args : JSON.stringify(args);
    const reply: Turn = {
      role: 'assistant',
      content: '',
      toolCalls: [{ id, name, arguments: text }],
    };
    if (how === 'malformed') return [{ ...reply, malformed: true }];
    return [reply, { role: 'tool', toolCallId: id, content: '', failed: how === 'failed' }];
  });
  return { rolloutId: 'r', turns, tools: [] };
}

const bash = (command: string): Call => ['bash', { command }];
const view = (path: string): Call => ['str_replace_editor', { command: 'view', path }];
const edit = (path: string): Call => [
  'str_replace_editor',
  { command: 'str_replace', path, old_str: 'a', new_str: 'b' },
];
const SUBMIT: Call = ['submit', {}];

test('the same way is shared whole, whatever its order', () => {
  const calls = [bash('ls'), view('a.py'), edit('/testbed/a.py'), SUBMIT];
  const { rollout1, shared } = compareBehaviour(
    toTrajectory(calls),
    toTrajectory(calls.toReversed()),
  );
  expect(rollout1).toEqual({ steps: 4, failed: 0, filesRead: 1, filesEdited: 1 });
  expect(shared).toEqual({ filesRead: 1, filesEdited: 1, actions: 1 });
});

test('files are the same by whatever path and tool they are read', () => {
  const { shared } = compareBehaviour(
    toTrajectory([view('src/a.py'), view('src/b.py')]),
    toTrajectory([
      bash("cd src && sed -n '1,5p' a.py | grep -n 'os.path' ../src/c.py; cat /etc/x.py"),
    ]),
  );
  expect(shared.filesRead).toBeCloseTo(1 / 3);
});

test('refused calls did nothing, failed ones are counted and did nothing either', () => {
  const { rollout2, shared } = compareBehaviour(
    toTrajectory([view('a.py')]),
    toTrajectory([
      ['str_replace_editor', { command: 'view', path: 'b.py' }, 'failed'],
      ['bash', '{"command": "cat b.py"', 'malformed'],
      view('a.py'),
    ]),
  );
  expect(rollout2).toEqual({ steps: 2, failed: 1, filesRead: 1, filesEdited: 0 });
  expect(shared).toEqual({ filesRead: 1, filesEdited: null, actions: 1 });
});

test('an action that was done more often is shared as often as the other did it', () => {
  const { shared } = compareBehaviour(
    toTrajectory([bash('pytest -q'), bash('pytest -q'), bash('ls')]),
    toTrajectory([bash('pytest'), bash('git diff')]),
  );
  expect(shared.actions).toBe(0.25);
});

test('stays fast on a long rollout of long commands', () => {
  const calls = Array.from({ length: 500 }, (_, index) =>
    bash(`cat ${'a/'.repeat(90)}${index}.py ${'x'.repeat(20_000)}`),
  );
  const start = performance.now();
  expect(compareBehaviour(toTrajectory(calls), toTrajectory(calls)).shared.actions).toBe(1);
  expect(performance.now() - start).toBeLessThan(5_000);
});
