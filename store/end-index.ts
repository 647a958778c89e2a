/** Which line of a batch's summary stands for each sample: kept in memory, and brought up to date by what came since. */

import { isContentVerdict, renderVerdict, type Verdict } from '../domain/outcome.ts';
import { sampleIndex } from '../domain/ids.ts';
import type { SampleEnd } from '../domain/sample.ts';
import { type Outcome, StoreCorrupt } from '../domain/store.ts';
import { linesFrom } from './lines.ts';
import type { Storage } from './storage.ts';

/** Lines of one page of samples that lie this near to each other are read in one go. */
const GAP_BYTES = 64 << 10;
const PAGE = 1000;

/** A line of the summary that takes back the ends of earlier generations. */
export interface Renewal {
  key: string;
  renewedTo: number;
}

export type SummaryLine = SampleEnd | Renewal;

/** The end that counts for a sample, in short, and the line that has all of it. */
export interface Standing {
  outcome: Outcome;
  path: string;
  offset: number;
  bytes: number;
}

export interface EndIndex {
  /** Reads what came since the last time. Throws StoreCorrupt for what is no summary. */
  refresh(): Promise<void>;
  of(sampleKey: string): Standing | undefined;
  /** In the manifest's order. */
  standings(): Generator<Standing>;
  /** The whole ends, in the manifest's order. */
  ends(standings: Iterable<Standing>): AsyncGenerator<SampleEnd>;
}

/** The index of the summary in a folder. */
export function createEndIndex(storage: Storage, folder: string): EndIndex {
  /** By the sample's place in the manifest. */
  const places: (Standing | { renewedTo: number } | undefined)[] = [];
  /** Bytes of whole lines read, by file. */
  const read = new Map<string, number>();
  const verdicts = new Map<string, Verdict>();
  let turn: Promise<void> = Promise.resolve();

  function take(line: SummaryLine, path: string, offset: number, bytes: number): void {
    const place = sampleIndex(line.key);
    const known = places[place];
    const generation = known === undefined ? 0 : generationOf(known);
    if ('renewedTo' in line) {
      if (line.renewedTo > generation) places[place] = { renewedTo: line.renewedTo };
      return;
    }
    if (line.generation < generation) return;
    if (known !== undefined && 'outcome' in known && !counts(line, known.outcome)) return;
    const { key, verdict, recall, endedAt } = line;
    // Of 200,000 verdicts some dozen differ.
    const name = renderVerdict(verdict);
    const shared = verdicts.get(name) ?? verdict;
    verdicts.set(name, shared);
    const outcome = { key, generation: line.generation, verdict: shared, endedAt };
    places[place] = { outcome: { ...outcome, ...(recall && { recall }) }, path, offset, bytes };
  }

  async function refresh(): Promise<void> {
    for (const name of await storage.list(folder)) {
      const path = `${folder}/${name}`;
      for await (const { line, offset, bytes } of linesFrom(storage, path, read.get(path) ?? 0)) {
        take(parseLine(storage, path, offset, line), path, offset, bytes);
        read.set(path, offset + bytes);
      }
    }
  }

  return {
    refresh() {
      const next = turn.then(refresh);
      turn = next.catch(() => undefined);
      return next;
    },

    of(sampleKey) {
      const known = places[sampleIndex(sampleKey)];
      return known !== undefined && 'outcome' in known ? known : undefined;
    },

    *standings() {
      for (const each of places) if (each !== undefined && 'outcome' in each) yield each;
    },

    async *ends(standings) {
      for (const page of pagesOf(standings)) yield* await readEnds(storage, page);
    },
  };
}

// --- internal ---

function generationOf(known: Standing | { renewedTo: number }): number {
  return 'renewedTo' in known ? known.renewedTo : known.outcome.generation;
}

/** Whether an end stands for its sample rather than the one known so far. */
function counts(end: SampleEnd, known: Outcome): boolean {
  if (end.generation !== known.generation) return end.generation > known.generation;
  const [final, knownFinal] = [isContentVerdict(end.verdict), isContentVerdict(known.verdict)];
  if (final !== knownFinal) return final;
  return end.endedAt > known.endedAt;
}

function parseLine(storage: Storage, path: string, offset: number, line: string): SummaryLine {
  try {
    return JSON.parse(line) as SummaryLine;
  } catch (error) {
    throw new StoreCorrupt(
      `${storage.placeOf(path)}: no summary at byte ${offset}; make it anew from the results: twinpatch status BATCH --rebuild`,
      { cause: error },
    );
  }
}

function* pagesOf(standings: Iterable<Standing>): Generator<Standing[]> {
  let page: Standing[] = [];
  for (const standing of standings) {
    page.push(standing);
    if (page.length < PAGE) continue;
    yield page;
    page = [];
  }
  yield page;
}

/** In the order of the page, though samples end in another one. */
async function readEnds(storage: Storage, page: Standing[]): Promise<SampleEnd[]> {
  const lines = new Map<Standing, string>();
  for (const run of runsOf(page)) {
    const [{ path, offset } = { path: '', offset: 0 }] = run;
    const bytes = await storage.readFrom(path, offset, endOf(run) - offset);
    for (const standing of run) {
      const at = standing.offset - offset;
      lines.set(standing, bytes.toString('utf8', at, at + standing.bytes));
    }
  }
  return page.map((standing) => {
    const line = lines.get(standing) ?? '';
    return parseLine(storage, standing.path, standing.offset, line) as SampleEnd;
  });
}

/** Lines of one file that lie near to each other. */
function runsOf(page: Standing[]): Standing[][] {
  const runs: Standing[][] = [];
  const byPlace = [...page].sort((a, b) =>
    a.path === b.path ? a.offset - b.offset : a.path < b.path ? -1 : 1,
  );
  for (const standing of byPlace) {
    const run = runs.at(-1);
    const isNear = run?.[0]?.path === standing.path && standing.offset - endOf(run) < GAP_BYTES;
    if (run !== undefined && isNear) run.push(standing);
    else runs.push([standing]);
  }
  return runs;
}

function endOf(run: Standing[]): number {
  const last = run.at(-1);
  return last === undefined ? 0 : last.offset + last.bytes;
}
