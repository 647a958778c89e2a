/** The first reading of an export: which rollouts can become rows, and why the others can't. */

import { candidatesFor, meets, type Candidate } from './candidates.ts';
import type { Condition } from './conditions.ts';
import { readExample, type ExampleOptions } from './examples.ts';
import { toSource, type RowSource } from './facts.ts';
import { DatasetError } from './folder.ts';
import type { Format } from './formats/format.ts';
import { measure } from './lengths.ts';
import {
  addOne,
  countVerdict,
  emptySampleCounts,
  type DatasetManifest,
  type RowCounts,
  type ViewCounts,
} from './manifest.ts';
import { KINDS, select, type FinishedSample, type Kind, type SelectOptions } from './select.ts';
import type { Example } from './row.ts';
import type { Views } from './views.ts';

export interface Survey {
  /** In the order of the samples. */
  candidates: Candidate[];
  samples: DatasetManifest['samples'];
  lost: Record<Kind, RowCounts['lost']>;
  /** What each condition got and left. */
  views: ViewCounts[];
}

export interface SurveyOptions extends SelectOptions, ExampleOptions {
  views: Views;
  /** Conditions that are not applied: which of them a row meets is remembered. */
  weighed?: Condition[];
  /** Samples in the plans; those that are not brought are counted as unfinished. */
  planned: number;
}

/** Reads every finished sample once; one trajectory is in memory at a time. Throws DatasetError. */
export async function surveySamples(
  samples: AsyncIterable<FinishedSample>,
  format: Format,
  options: SurveyOptions,
): Promise<Survey> {
  const counts = emptySampleCounts(options.planned);
  const lost: Survey['lost'] = { t1: {}, t2: {} };
  const candidates: Candidate[] = [];
  const conditions = countConditions(options.views);
  const toCandidate = candidatesFor(options.views, options.weighed);
  for await (const sample of samples) {
    countVerdict(counts, sample.verdict);
    if (counts.unfinished < 0) throw tooManySamples(options.planned, sample.sampleKey);
    for (const kind of KINDS) {
      const row = await readRow(kind, sample, format, options);
      const reason = 'lost' in row ? row.lost : await conditions.judge(row.source);
      if (reason !== undefined) addOne(lost[kind], reason);
      else if ('source' in row) candidates.push(await toCandidate(row.source, row.written));
    }
  }
  refuseMixture(candidates);
  return { candidates, samples: counts, lost, views: conditions.counts };
}

// --- internal ---

/** A row that could be written, or why there is none. */
async function readRow(
  kind: Kind,
  sample: FinishedSample,
  format: Format,
  options: SurveyOptions,
): Promise<{ source: RowSource; written: Example } | { lost: string }> {
  const selected = select(kind, sample, options);
  if ('lost' in selected) return selected;
  const read = await readExample(sample, selected.side, options);
  if ('lost' in read) return read;
  const { whole, written } = read;
  const lost = format.lossOf(written.conversation);
  if (lost !== undefined) return { lost };
  const { countTokens, tokenBudget } = options.views;
  const source = toSource({ kind, sample, side: selected.side, example: whole }, (conversation) =>
    measure(conversation, countTokens, tokenBudget),
  );
  return { source, written };
}

function countConditions({ conditions }: Views) {
  const counts: ViewCounts[] = conditions.map(({ text }) => ({
    view: text,
    t1: { in: 0, out: 0, only: 0 },
    t2: { in: 0, out: 0, only: 0 },
  }));
  return {
    counts,
    /** The first condition that a row does not meet; undefined where it meets all. */
    async judge(source: RowSource): Promise<string | undefined> {
      const failed: number[] = [];
      for (const [index, condition] of conditions.entries())
        if (!(await meets(condition, source))) failed.push(index);
      const [first = conditions.length] = failed;
      for (const [index, { [source.kind]: count }] of counts.entries()) {
        if (index <= first) count.in += 1;
        if (index < first) count.out += 1;
        if (index === first && failed.length === 1) count.only = (count.only ?? 0) + 1;
      }
      return conditions[first]?.text;
    },
  };
}

function refuseMixture(candidates: Candidate[]): void {
  const scripted = candidates.find(({ simulated }) => simulated);
  const real = candidates.find(({ simulated }) => !simulated);
  if (!scripted || !real) return;
  throw new DatasetError(
    `${scripted.id} was written by the scripted teacher and ${real.id} by a real one: export their batches apart`,
  );
}

function tooManySamples(planned: number, sampleKey: string): DatasetError {
  return new DatasetError(
    `${planned} samples are planned, and ${sampleKey} is one more: is a batch named twice?`,
  );
}
