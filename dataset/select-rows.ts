/** From finished samples to the rows of an export, with every loss counted. */

import { choose, type ChosenRow } from './choose.ts';
import type { Format } from './formats/format.ts';
import type { DatasetManifest, RowCounts } from './manifest.ts';
import type { FinishedSample, Kind } from './select.ts';
import { surveySamples, type SurveyOptions } from './survey.ts';

export interface SelectedRows extends Pick<DatasetManifest, 'samples' | 't1' | 't2' | 'views'> {
  /** In the order of the samples. */
  rows: ChosenRow[];
  /** Undefined where no rollout could become a row. */
  simulated: boolean | undefined;
}

/** Reads every finished sample once, and keeps no trajectory. Throws DatasetError. */
export async function selectRows(
  samples: AsyncIterable<FinishedSample>,
  format: Format,
  options: SurveyOptions,
): Promise<SelectedRows> {
  const survey = await surveySamples(samples, format, options);
  const choice = choose(survey.candidates, options.views);
  const countsOf = (kind: Kind): RowCounts => {
    const rows = choice.rows.filter((row) => row.kind === kind);
    const total = (of: 'replies' | 'trained') =>
      rows.reduce((count, { [of]: each }) => count + each, 0);
    return {
      rows: rows.length,
      replies: total('replies'),
      trained: total('trained'),
      lost: { ...survey.lost[kind], ...choice.lost[kind] },
    };
  };
  return {
    rows: choice.rows,
    simulated: survey.candidates[0]?.simulated,
    samples: survey.samples,
    t1: countsOf('t1'),
    t2: countsOf('t2'),
    views: [...survey.views, ...choice.views],
  };
}
