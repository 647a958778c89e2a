/** Small tables for people. */

import Table from 'cli-table3';
import { colorsOf, sanitizeLine, type Output } from './output.ts';

/**
 * Rows in aligned columns, numbers to the right; cells are sanitised and, where the terminal is narrow, cut. Ends with a
 * line break.
 */
export function renderTable(
  head: string[],
  rows: (string | number)[][],
  { stream, env }: { stream: Output; env: NodeJS.ProcessEnv },
): string {
  const colors = colorsOf(stream, env);
  const texts = rows.map((row) => row.map((cell) => sanitizeLine(String(cell))));
  const natural = head.map((title, column) =>
    Math.max(...[title, ...texts.map((row) => row[column] ?? '')].map((text) => text.length)),
  );
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
