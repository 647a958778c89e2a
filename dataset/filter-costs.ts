/** What filters that are often asked for would leave of a selection. */

import { choose } from './choose.ts';
import { parseCondition } from './conditions.ts';
import type { Format } from './formats/format.ts';
import type { ViewCounts } from './manifest.ts';
import { selectRows, type SelectedRows } from './select-rows.ts';
import type { FinishedSample, Kind } from './select.ts';
import type { SurveyOptions } from './survey.ts';
import { ALIKE, NO_VIEWS, type Views } from './views.ts';

export interface WeighedRows extends SelectedRows {
  /** Each of the selected rows alone, as if nothing else were asked; `view` is written as the option is. */
  filters: ViewCounts[];
}

/** The rows that `options` select, and what each usual filter would leave of them. Throws DatasetError. */
export async function weighFilters(
  samples: AsyncIterable<FinishedSample>,
  format: Format,
  options: Omit<SurveyOptions, 'weighed'>,
): Promise<WeighedRows> {
  const selected = await selectRows(samples, format, { ...options, weighed: CONDITIONS });
  const countOf = (kind: Kind, condition: number) => {
    const rows = selected.rows.filter((row) => row.kind === kind);
    return { in: rows.length, out: rows.filter(({ meets }) => meets[condition]).length };
  };
  const ofConditions = CONDITIONS.map(({ text }, index) => ({
    view: `--where '${text}'`,
    t1: countOf('t1', index),
    t2: countOf('t2', index),
  }));
  const ofViews = Object.entries(VIEWS).flatMap(([option, view]) =>
    choose(selected.rows, { ...NO_VIEWS, ...view }).views.map((counts) => ({
      ...counts,
      view: option,
    })),
  );
  return { ...selected, filters: [...ofConditions, ...ofViews] };
}

// --- internal ---

const CONDITIONS = [
  'leak <= 0.2',
  'think = 1',
  'untrained = 0',
  'failedCalls = 0',
  'keptRatio >= 0.88',
  'keptRatio = 1',
  'observationTokens <= 600',
  'patchLines <= 40',
  'touchesTarget = yes',
  'whitespaceOnly = no',
  'testFiles = 0',
  'generatedFiles = 0',
  'binaryFiles = 0',
  'leftoverScripts = 0',
].map(parseCondition);

const VIEWS: Record<string, Partial<Views>> = {
  [`--distinct-patches ${ALIKE}`]: { distinctPatches: ALIKE },
  [`--distinct-trajectories ${ALIKE}`]: { distinctTrajectories: ALIKE },
  '--max-per-function 1': { maxPerFunction: 1 },
  '--max-per-file 10': { maxPerFile: 10 },
};
