/** What rendering an export with a chat template showed, for people. */

import { MAX_TOKENS } from '../dataset/training.ts';
import type { RenderingReport } from '../dataset/row-rendering.ts';
import { type Io, print, sanitizeLine, write } from './output.ts';
import { renderTable } from './table.ts';

/** Pieces of the first row that are listed, and characters of each. */
const LISTED = 12;
const MAX_CHARS = 72;

/** Counts of tokens, and the first row with what of it is trained. */
export async function printRendering(io: Io, report: RenderingReport): Promise<void> {
  const { rows, tokens, trainedTokens, mostTokens, tooLong, shown } = report;
  const share = tokens === 0 ? 0 : Math.round((100 * trainedTokens) / tokens);
  await print(
    io,
    `rendered ${rows} rows: ${tokens} tokens, ${share} % of them trained; the longest row has ${mostTokens}, ${tooLong} rows have more than ${MAX_TOKENS}`,
  );
  if (shown.length === 0) return;
  const lines = shown
    .slice(0, LISTED)
    .map((piece) => [piece.tokens, piece.trained ? 'trained' : '', shorten(piece.text)]);
  await print(io, '\nthe first row, and what of it is trained:');
  await write(
    io.stdout,
    renderTable(['tokens', '', 'text'], lines, { stream: io.stdout, env: io.env }),
  );
  if (shown.length > LISTED)
    await print(io, `… and ${shown.length - LISTED} more; --json has them all`);
}

// --- internal ---

/** Both ends: they show where a piece begins and what ends it. */
function shorten(text: string): string {
  const line = sanitizeLine(text);
  const half = MAX_CHARS / 2;
  return line.length <= MAX_CHARS ? line : `${line.slice(0, half)} … ${line.slice(-half)}`;
}
