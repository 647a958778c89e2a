/** Finished samples with long rollouts, made on the fly from a number: nothing is kept, equal numbers give equal samples. */

import type { FinishedSample } from '../dataset/select.ts';
import type { Trajectory, Turn } from '../domain/trajectory.ts';
import { bash, sample, side } from '../test/dataset/fixtures.ts';

/** Samples with one exported rollout each, of `steps` calls with their answers. */
export async function* longSamples(count: number, steps: number): AsyncGenerator<FinishedSample> {
  for (let index = 0; index < count; index += 1) {
    const key = `sample-${index}`;
    const trajectory = () => Promise.resolve(toTrajectory(index, steps));
    const file = `src/file_${index % FILES}.py`;
    const patch = () => Promise.resolve(toPatch(index, file));
    const { t1: _t1, ...rest } = sample(key, {
      target: { repository: 'web', file, name: `parse_${index}`, startLine: 1, endLine: 9 },
      t2: side(`${key}/rollout-2.1`, { trajectory, patch }),
    });
    yield await Promise.resolve(rest);
  }
}

// --- internal ---

/** What is read and written in a repository, to cut pieces of: quotes, line ends, escapes and letters of two bytes included. */
const TEXT = Array.from(
  { length: 400 },
  (_, line) =>
    `    value_${line} = parse(headers["x-${line % 17}"], default='\\t${line * 31}')  # größer als ${line}\n`,
).join('');
const MAX_CUT = 1600;

const FILES = 500;

function toPatch(index: number, file: string): string {
  const lines = Array.from(
    { length: 6 },
    (_, line) => `+    value_${index * 7 + line} = ${line}\n`,
  );
  return `--- a/${file}\n+++ b/${file}\n@@ -3,0 +4,${lines.length} @@\n${lines.join('')}`;
}

/** An answer is 800 characters long on average, a thought 150. */
function toTrajectory(index: number, steps: number): Trajectory {
  const cut = (salt: number, most: number) => {
    const from = (index * 7919 + salt * 104_729) % (TEXT.length - MAX_CUT);
    return TEXT.slice(from, from + ((index * 31 + salt * 17) % most));
  };
  const turns: Turn[] = [
    { role: 'system', content: 'You repair programs.' },
    { role: 'user', content: `Something is off around parse_${index}. ${cut(0, 300)}` },
  ];
  for (let step = 1; step <= steps; step += 1) {
    const command = step === steps ? 'submit' : `grep -n "${cut(step, 60)}" src/file_${step}.py`;
    turns.push(
      {
        role: 'assistant',
        reasoning: `I look at step ${step}. ${cut(step + 1000, 300)}`,
        content: '',
        toolCalls: [{ id: `c${step}`, name: 'bash', arguments: JSON.stringify({ command }) }],
      },
      { role: 'tool', toolCallId: `c${step}`, content: cut(step + 2000, MAX_CUT) },
    );
  }
  return { rolloutId: `r${index}`, turns, tools: [bash] };
}
