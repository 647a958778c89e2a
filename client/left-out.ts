/** Files that are not taken, for people. */

import { sanitizeLine } from './output.ts';

const NAMED_FILES = 3;

/** A line per reason: how many files it leaves out, and the first of them. `label` says what else became of them. */
export function renderLeftOut(
  reasonsByPath: ReadonlyMap<string, string>,
  label = 'left out',
): string[] {
  const entries = [...reasonsByPath];
  return [...new Set(reasonsByPath.values())].map((reason) => {
    const paths = entries.filter(([, each]) => each === reason).map(([path]) => path);
    const named = paths.slice(0, NAMED_FILES).map(sanitizeLine).join(', ');
    const more = paths.length > NAMED_FILES ? `, … (${paths.length} files)` : '';
    return `${label}: ${named}${more}: ${sanitizeLine(reason)}`;
  });
}
