/** Sizes and durations as a person writes them in a configuration. */

import { z } from 'zod';

const SIZE_UNITS: Record<string, number> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
};
const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3 };
const MAX_HOURS = 500;

/** `2GiB` → bytes. */
export const size = () => quantity(SIZE_UNITS, '2GiB');
/** `300s` → milliseconds. Timers of Node hold 596 hours, and end at once when told to wait for longer. */
export const duration = () =>
  quantity(DURATION_UNITS, '300s').refine(
    (ms) => ms <= MAX_HOURS * 3600e3,
    `expected at most ${MAX_HOURS}h`,
  );

/** A duration of a limit, which more than nothing fits in. */
export const timeLimit = () => duration().refine((ms) => ms > 0, 'expected more than 0');

// --- internal ---

function quantity(units: Record<string, number>, example: string) {
  const names = Object.keys(units).join('|');
  const pattern = new RegExp(`^(\\d+(?:\\.\\d+)?)\\s*(${names})$`);
  const expected = `expected a number and a unit (${names.replaceAll('|', ', ')}), like ${example}`;
  return z
    .string({ error: ({ input }) => (typeof input === 'number' ? expected : undefined) })
    .regex(pattern, expected)
    .transform((text) => {
      const [, amount = '', unit = ''] = pattern.exec(text) ?? [];
      return Math.round(Number(amount) * (units[unit] ?? Number.NaN));
    });
}
