/** Repetitions of a loop: few in `npm test`, all of them in `npm run stress`. */
export function count(normal: number, stress: number): number {
  return process.env['TWINPATCH_STRESS'] === '1' ? stress : normal;
}
