/**
 * How samples ended: `end-<generation>.json` for a content verdict, which is the truth, and a line of the summary, which is what
 * is read of many samples.
 */

import { randomBytes } from 'node:crypto';
import pLimit from 'p-limit';
import { isContentVerdict } from '../domain/outcome.ts';
import type { SampleEnd } from '../domain/sample.ts';
import type { Batches, Outcome, SampleEnds, StageLedger } from '../domain/store.ts';
import { batchFolder } from './batches.ts';
import { createEndIndex, type EndIndex, type SummaryLine } from './end-index.ts';
import { sampleFolder } from './ledger.ts';
import { linesFrom } from './lines.ts';
import type { Storage } from './storage.ts';

const FOLDERS_AT_ONCE = 16;
/** Samples whose lines are one file of a rebuilt summary. */
const REBUILT_AT_ONCE = 1000;
const REBUILT = 'rebuilt-';

export function createEnds(storage: Storage, ledger: StageLedger, batches: Batches): SampleEnds {
  const summary = (batchId: string) => `${batchFolder(batchId)}/summary`;
  const indexes = new Map<string, EndIndex>();
  const limit = pLimit(FOLDERS_AT_ONCE);

  async function current(batchId: string): Promise<EndIndex> {
    const index = indexes.get(batchId) ?? createEndIndex(storage, summary(batchId));
    indexes.set(batchId, index);
    await index.refresh();
    return index;
  }

  async function append(batchId: string, line: SummaryLine): Promise<void> {
    const log = storage.lines(summary(batchId));
    await log.append(line);
    await log.sync();
  }

  /** The sample's generation, and its content verdict where it has one, by what is in its folder. */
  async function look(batchId: string, sampleKey: string): Promise<Found> {
    const names = await storage.list(sampleFolder(batchId, sampleKey));
    const generation = names.filter((name) => name.endsWith('.renewed')).length + 1;
    const name = `end-${generation}`;
    const end = names.includes(`${name}.json`)
      ? await ledger.get<SampleEnd>({ batchId, sampleKey, name })
      : undefined;
    return { key: sampleKey, generation, end };
  }

  return {
    async record(batchId, end) {
      const written = isContentVerdict(end.verdict)
        ? await ledger.put({ batchId, sampleKey: end.key, name: `end-${end.generation}` }, end)
        : end;
      await append(batchId, written);
      return written;
    },

    async outcomes(batchId) {
      return outcomesOf(await current(batchId));
    },

    async *stream(batchId) {
      const index = await current(batchId);
      yield* index.ends(index.standings());
    },

    async of(batchId, sampleKey) {
      const { end } = await look(batchId, sampleKey);
      if (end !== undefined) return end;
      const index = await current(batchId);
      const standing = index.of(sampleKey);
      if (standing === undefined) return undefined;
      for await (const found of index.ends([standing])) return found;
      return undefined;
    },

    async unfinished(batchId, sampleKeys) {
      const index = await current(batchId);
      const open = sampleKeys.filter((key) => {
        const standing = index.of(key);
        return standing === undefined || !isContentVerdict(standing.outcome.verdict);
      });
      const looks = await Promise.all(open.map((key) => limit(() => look(batchId, key))));
      // A worker that died between the two writes left a verdict that the summary does not have.
      for (const { end } of looks) if (end !== undefined) await append(batchId, end);
      return looks.flatMap(({ key, generation, end }) => {
        if (end !== undefined) return [];
        const failed = index.of(key)?.outcome.verdict;
        return [{ key, generation, ...(failed && { failed }) }];
      });
    },

    async renew(batchId, sampleKey) {
      const { generation } = await look(batchId, sampleKey);
      await storage.writeOnce(`${sampleFolder(batchId, sampleKey)}/${generation}.renewed`, '');
      await append(batchId, { key: sampleKey, renewedTo: generation + 1 });
      return generation + 1;
    },

    async rebuild(batchId, onProgress = () => undefined) {
      const folder = summary(batchId);
      const { replaced, kept } = await salvage(storage, folder);
      const name = `${folder}/${REBUILT}${randomBytes(4).toString('hex')}`;
      const write = (part: number, lines: SummaryLine[]) =>
        storage.writeOnce(
          `${name}.${part}.jsonl`,
          lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
        );
      if (kept.length > 0) await write(0, kept);
      const planned = await batches.planned(batchId);
      let found = 0;
      for (let from = 0; from < planned; from += REBUILT_AT_ONCE) {
        const samples = await batches.samples(batchId, from, REBUILT_AT_ONCE);
        const looks = await Promise.all(samples.map(({ key }) => limit(() => look(batchId, key))));
        const lines = looks.flatMap(toLines);
        if (lines.length > 0) await write(from / REBUILT_AT_ONCE + 1, lines);
        found += looks.filter(({ end }) => end !== undefined).length;
        onProgress(from + samples.length, planned);
      }
      for (const path of replaced) await storage.remove(path);
      indexes.delete(batchId);
      return found;
    },
  };
}

// --- internal ---

function* outcomesOf(index: EndIndex): Generator<Outcome> {
  for (const { outcome } of index.standings()) yield outcome;
}

/** What is in a sample's folder. */
interface Found {
  key: string;
  generation: number;
  end: SampleEnd | undefined;
}

function toLines({ key, generation, end }: Found): SummaryLine[] {
  if (end !== undefined) return [end];
  return generation > 1 ? [{ key, renewedTo: generation }] : [];
}

/** The files that a rebuilt summary stands for, and of them the ends that no result has. Those of workers stay, if they are whole. */
async function salvage(storage: Storage, folder: string) {
  const replaced: string[] = [];
  const kept: SampleEnd[] = [];
  for (const name of await storage.list(folder)) {
    const path = `${folder}/${name}`;
    const own: SampleEnd[] = [];
    let isReplaced = name.startsWith(REBUILT);
    for await (const { line } of linesFrom(storage, path, 0)) {
      const end = parseEnd(line);
      if (end === 'damaged') isReplaced = true;
      else if (end !== undefined && !isContentVerdict(end.verdict)) own.push(end);
    }
    if (!isReplaced) continue;
    replaced.push(path);
    kept.push(...own);
  }
  return { replaced, kept };
}

function parseEnd(line: string): SampleEnd | 'damaged' | undefined {
  try {
    const parsed = JSON.parse(line) as SummaryLine;
    return 'verdict' in parsed ? parsed : undefined;
  } catch {
    return 'damaged';
  }
}
