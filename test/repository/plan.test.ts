import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FunctionRecord } from '../../repository/functions.ts';
import { planSamples, type PlanInput } from '../../repository/plan.ts';

const snapshot = 'sha256:0' as const;

function target(
  file: string,
  name: string,
  reason: FunctionRecord['reason'] = null,
): FunctionRecord {
  const eligible = reason === null;
  const place = { startLine: 1, endLine: 9, eligible, reason };
  return { file, name, kind: 'function', language: 'python', ...place };
}

function input(functions: FunctionRecord[], more: Partial<PlanInput> = {}): PlanInput {
  return {
    commits: [{ commit: 'c1', snapshot, functions }],
    instructions: ['a', 'b', 'c', 'd', 'e', 'f', 'g'],
    demonstrations: ['x', 'y'],
    samples: 10,
    seed: 7,
    ...more,
  };
}

const anyInput = fc
  .record({
    files: fc.uniqueArray(fc.stringMatching(/^[a-c]{1,2}\/[a-f]{1,3}\.py$/), {
      minLength: 1,
      maxLength: 12,
    }),
    names: fc.uniqueArray(fc.stringMatching(/^[a-z]{1,4}$/), { minLength: 1, maxLength: 3 }),
    commits: fc.uniqueArray(fc.stringMatching(/^[0-9a-f]{6}$/), { minLength: 1, maxLength: 3 }),
    samples: fc.integer({ min: 1, max: 120 }),
    seed: fc.nat(),
  })
  .map(({ files, names, commits, samples, seed }) => {
    const functions = files.flatMap((file) => names.map((name) => target(file, name)));
    return {
      functions,
      plan: input(functions, {
        commits: commits.map((commit) => ({ commit, snapshot, functions })),
        samples,
        seed,
      }),
    };
  });

describe('for any repository', () => {
  test('a larger plan begins with the smaller one, byte for byte', () => {
    fc.assert(
      fc.property(anyInput, fc.nat(80), ({ plan }, more) => {
        const larger = planSamples({ ...plan, samples: plan.samples + more });
        expect(JSON.stringify(larger.slice(0, plan.samples))).toBe(
          JSON.stringify(planSamples(plan)),
        );
      }),
    );
  });

  test('a round has every function once', () => {
    fc.assert(
      fc.property(anyInput, ({ functions, plan }) => {
        const size = functions.length;
        const samples = planSamples({ ...plan, samples: size * 3 });
        for (const round of [0, 1, 2]) {
          const part = samples.slice(round * size, (round + 1) * size);
          expect(new Set(part.map((it) => `${it.target.file} ${it.target.name}`)).size).toBe(size);
        }
      }),
    );
  });

  test('the instructions of a sample differ, and no key is there twice', () => {
    fc.assert(
      fc.property(anyInput, ({ plan }) => {
        const samples = planSamples(plan);
        for (const { instructions } of samples) expect(new Set(instructions).size).toBe(3);
        expect(new Set(samples.map(({ key }) => key)).size).toBe(plan.samples);
        expect(samples.map(({ index }) => index)).toEqual(samples.map((_, index) => index));
      }),
    );
  });

  test('the order in which functions are found does not matter', () => {
    fc.assert(
      fc.property(anyInput, ({ plan }) => {
        const turned = plan.commits.map((commit) => ({
          ...commit,
          functions: commit.functions.toReversed(),
        }));
        expect(planSamples({ ...plan, commits: turned })).toEqual(planSamples(plan));
      }),
    );
  });
});

test('another seed gives another order', () => {
  const functions = Array.from({ length: 20 }, (_, n) => target('a.py', `f${n}`));
  const order = (seed: number) =>
    planSamples(input(functions, { samples: 20, seed })).map((it) => it.target.name);
  expect(order(8)).not.toEqual(order(7));
});

test('a second round gives a function other instructions', () => {
  const [first, second] = planSamples(input([target('a.py', 'f')], { samples: 2 }));
  expect(new Set([...(first?.instructions ?? []), ...(second?.instructions ?? [])]).size).toBe(6);
});

test('a second round takes a function at another commit', () => {
  const functions = [target('a.py', 'f')];
  const commits = ['c1', 'c2'].map((commit) => ({ commit, snapshot, functions }));
  const samples = planSamples(input([], { commits, samples: 2 }));
  expect(samples.map(({ commit }) => commit).sort()).toEqual(['c1', 'c2']);
});

test('a small part of a round has a large and a small directory in proportion', () => {
  const functions = [
    ...Array.from({ length: 90 }, (_, n) => target('large/a.py', `f${n}`)),
    ...Array.from({ length: 10 }, (_, n) => target('small/a.py', `f${n}`)),
  ];
  for (const samples of [20, 50]) {
    const planned = planSamples(input(functions, { samples }));
    const small = planned.filter((it) => it.target.file.startsWith('small/')).length;
    expect(Math.abs(small - samples / 10)).toBeLessThanOrEqual(1);
  }
});

test('without an eligible function, the reasons are counted', () => {
  const functions = [
    target('a.py', 'f', 'too short'),
    target('a.py', 'g', 'too short'),
    target('a.py', 'h', 'test'),
  ];
  expect(() => planSamples(input(functions))).toThrow(
    'No function is eligible: 3 functions were found: 2 too short, 1 test.',
  );
  expect(() => planSamples(input([]))).toThrow('no function in a language we know');
});

test('with fewer than three instructions, there is no plan', () => {
  const few = input([target('a.py', 'f')], { instructions: ['a', 'b', 'a'] });
  expect(() => planSamples(few)).toThrow('A plan needs 3 instructions');
});
