/** The teacher's side of a batch: slots in use, what a call costs us beside litellm, and what a pool gets out of its endpoints. */

import { benchCalls } from './teacher-cost.ts';
import { benchPool } from './teacher-pool.ts';
import { benchSlots } from './teacher-slots.ts';

/** Needs the built product and an engine. */
export async function benchTeacher(
  options: { peers: boolean },
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<object[]> {
  return [
    await benchSlots(note),
    ...(await benchCalls(options, signal, note)),
    await benchPool(signal, note),
  ];
}
