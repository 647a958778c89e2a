import { expect, test } from 'vitest';
import { runRollout, type RolloutPorts } from '../../agent/loop.ts';
import { toTrajectory } from '../../agent/trajectory.ts';
import { bash, createTeacher, editor, planWith, submit } from '../support/agent-script.ts';
import { createMemoryJournal } from '../support/memory-journal.ts';
import { createMemorySandbox } from '../support/memory-sandbox.ts';

const SCRIPT = [
  bash('make'),
  { content: 'Not a call.' },
  editor({ command: 'insert', path: 'a.py', insert_line: 0, new_str: 'x = 0' }),
  bash('make test'),
  editor({ command: 'create', path: 'b.py', file_text: 'b\n' }),
  editor({ command: 'undo_edit', path: 'b.py' }),
  editor({ command: 'view', path: 'a.py' }),
  submit,
  submit,
];

class Crash extends Error {}

/** The ports with a crash at one point: each call is two points, before it and after it has taken effect. */
function crashingAt(point: number, ports: RolloutPorts): { ports: RolloutPorts; points(): number } {
  let passed = 0;
  const step = () => {
    passed += 1;
    if (passed === point) throw new Crash();
  };
  const crashing = <T extends object>(port: T): T =>
    new Proxy(port, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return async (...args: unknown[]) => {
          step();
          const result: unknown = await Reflect.apply(value, target, args);
          step();
          return result;
        };
      },
    });
  return {
    ports: {
      teacher: crashing(ports.teacher),
      sandbox: crashing(ports.sandbox),
      journal: crashing(ports.journal),
    },
    points: () => passed,
  };
}

/** Runs with crashes at these points of the successive owners' lives, until an owner reaches the end. */
async function runWithCrashes(points: number[]) {
  const sandbox = createMemorySandbox(new Map([['/testbed/a.py', 'x = 1\n']]));
  const teacher = createTeacher(SCRIPT);
  const journal = createMemoryJournal();
  const plan = planWith();
  const signal = new AbortController().signal;
  for (const point of [...points, 0]) {
    const life = crashingAt(point, { teacher, sandbox, journal });
    const run = await runRollout(plan, life.ports, signal).catch((error: unknown) => {
      if (!(error instanceof Crash)) throw error;
      return undefined;
    });
    if (run === undefined) continue;
    const result = {
      end: { status: run.status, steps: run.steps, toolCalls: run.toolCalls, usage: run.usage },
      turns: toTrajectory(plan, journal.entries).turns,
      commands: sandbox.ran,
      files: [...sandbox.files],
    };
    return { result, points: life.points(), asked: teacher.calls };
  }
  throw new Error('the last owner did not reach the end');
}

test('a crash at any point changes nothing, and buys at most one reply twice', async () => {
  const undisturbed = await runWithCrashes([]);
  expect(undisturbed.result).toMatchObject({
    end: { status: 'submitted', steps: 9 },
    files: [['/testbed/a.py', 'x = 0\nx = 1\n']],
  });
  expect(undisturbed.points).toBeGreaterThan(60);
  for (let point = 1; point <= undisturbed.points; point += 1) {
    const { result, asked } = await runWithCrashes([point]);
    expect(result, `crash at ${point}`).toEqual(undisturbed.result);
    expect(asked.length).toBeLessThanOrEqual(SCRIPT.length + 1);
    expect(new Set(asked.map((call) => `${call.step}.${call.try}`)).size).toBe(asked.length);
  }
});

test('neither do crashes of several owners in a row', async () => {
  const undisturbed = await runWithCrashes([]);
  for (let first = 3; first <= undisturbed.points; first += 1) {
    const { result, asked } = await runWithCrashes([first, 2, 4, 7, 9]);
    expect(result, `crashes from ${first} on`).toEqual(undisturbed.result);
    expect(asked.length).toBeLessThanOrEqual(SCRIPT.length + 5);
  }
});
