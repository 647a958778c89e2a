/** JSON Lines. */

/** The lines of a text; a half-written last line is normal after a crash and is dropped. */
export function parseLines<T>(text: string): T[] {
  const end = text.lastIndexOf('\n');
  if (end < 0) return [];
  return text
    .slice(0, end)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}
