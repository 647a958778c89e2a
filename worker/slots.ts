/** How many rollouts this worker runs at once: what `tune` set for all workers of the store, else its own setting. */

import type { Tunings } from '../domain/store.ts';

const READ_EVERY_MS = 5_000;

export interface Slots {
  now(): number;
  stop(): void;
}

/** Reads it again and again; where the store can't be read just now, what was read last holds. */
export async function watchSlots(tunings: Pick<Tunings, 'slots'>, own: number): Promise<Slots> {
  let slots = own;
  const read = async () => {
    slots = (await tunings.slots().catch(() => slots)) ?? own;
  };
  await read();
  const reading = setInterval(() => void read(), READ_EVERY_MS);
  return { now: () => slots, stop: () => clearInterval(reading) };
}
