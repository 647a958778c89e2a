/** Small tables for people. */

import Table from 'cli-table3';
import { colorsOf, sanitizeLine, type Output } from './output.ts';

/**
 * Rows in aligned columns, numbers to the right; cells are sanitised and cut where they would widen all rows, the last
 * column's only where the terminal is narrow. Ends with a line break.
 */
export function renderTable(
  head: string[],
  rows: (string | number)[][],
  { stream, env }: { stream: Output; env: NodeJS.ProcessEnv },
): string {
  const colors = colorsOf(stream, env);
  const texts = rows.map((row) => row.map((cell) => sanitizeLine(String(cell))));
  const natural = head.map((title, column) => {
    const longest = texts.reduce(
      (width, row) => Math.max(width, row[column]?.length ?? 0),
      title.length,
    );
    return column === head.length - 1 ? longest : Math.min(longest, MAX_WIDTH);
  });
  const widths = fit(natural, stream.isTTY === true ? (stream.columns ?? 80) : Infinity);
  const isNumber = head.map((_, column) => rows.every((row) => typeof row[column] === 'number'));
  const table = new Table({
    chars: NO_BORDERS,
    style: { 'padding-left': 0, 'padding-right': GAP, head: [], border: [] },
    colWidths: widths.map((width) => width + GAP),
    colAligns: isNumber.map((right) => (right ? 'right' : 'left')),
  });
  table.push(
    head.map((title) => colors.bold(title)),
    ...texts,
  );
  return `${table.toString().replaceAll(/[ ]+$/gm, '')}\n`;
}

// --- internal ---

const GAP = 2;
const MIN_WIDTH = 6;
/** Of a column that others follow: wide enough for a function and its file. */
const MAX_WIDTH = 80;
const NO_BORDERS = Object.fromEntries(
  [
    ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left'],
    ['bottom-right', 'left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'],
  ]
    .flat()
    .map((name) => [name, '']),
);

/** Takes from the widest column until the line fits. */
function fit(widths: number[], columns: number): number[] {
  const fitted = [...widths];
  const total = () => fitted.reduce((sum, width) => sum + width + GAP, 0);
  while (total() > columns) {
    const widest = fitted.indexOf(Math.max(...fitted));
    const width = fitted[widest] ?? 0;
    if (width <= MIN_WIDTH) break;
    fitted[widest] = width - 1;
  }
  return fitted;
}
