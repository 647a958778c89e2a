/** The end of a batch for people: what became of every sample, and what to look at next. */

import { renderVerdict } from '../domain/outcome.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import type { BatchState } from './batch-state.ts';
import { type Io, print, write } from './output.ts';
import { optionOf, renderCounts, renderSpent } from './render-progress.ts';
import { renderTable } from './table.ts';
import { explain, readWarnings, samplesWithEnds } from './yield.ts';

/** Batches up to this size are listed sample by sample, larger ones by verdict. */
const LISTED_SAMPLES = 50;

export async function printYield(
  io: Io,
  store: Store,
  batch: BatchRecord,
  state: BatchState,
): Promise<void> {
  const to = { stream: io.stdout, env: io.env };
  if (state.planned <= LISTED_SAMPLES) {
    const rows: (string | number)[][] = [];
    for await (const { sample, end } of samplesWithEnds(store, batch.id)) {
      const verdict = end === undefined ? 'unfinished' : renderVerdict(end.verdict);
      rows.push([
        sample.key,
        verdict,
        `${sample.target.name} in ${sample.target.file}`,
        explain(end),
      ]);
    }
    await write(io.stdout, renderTable(['sample', 'verdict', 'function', 'reason'], rows, to));
  } else {
    const rows = Object.entries(state.verdicts).map(([verdict, samples]) => [verdict, samples]);
    if (state.unfinished > 0) rows.push(['unfinished', state.unfinished]);
    await write(io.stdout, renderTable(['verdict', 'samples'], rows, to));
  }
  await print(io, '');
  await print(
    io,
    `${state.batch}: ${state.planned} planned, ${renderCounts(state)}${state.unfinished > 0 ? `, unfinished ${state.unfinished}` : ''}`,
  );
  await print(io, renderSpent(state));
  for (const warning of await readWarnings(store, batch.id)) await print(io, `warning: ${warning}`);
  if (state.verdicts['held:budget'] !== undefined) {
    await print(
      io,
      `The budget is reached. next: twinpatch tune ${batch.id} ${optionOf(state)} MORE`,
    );
  }
}
