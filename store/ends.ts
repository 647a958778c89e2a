/** How samples ended: `end-<generation>.json` for a content verdict, and a summary line that status, stats and export read. */

import { join } from 'node:path';
import { isContentVerdict } from '../domain/outcome.ts';
import type { SampleEnd } from '../domain/sample.ts';
import type { SampleEnds, StageLedger } from '../domain/store.ts';
import { createAppendLogs } from './append-log.ts';
import { listFolder, parseLines, readIfThere, writeOnce } from './files.ts';
import { sampleFolder } from './ledger.ts';
import { ownerName, thisProcess } from './owner.ts';

export function createEnds(batches: string, ledger: StageLedger): SampleEnds {
  const logOf = createAppendLogs();
  const summary = (batchId: string) => join(batches, batchId, 'summary');

  async function generation(batchId: string, sampleKey: string): Promise<number> {
    const names = await listFolder(sampleFolder(batches, batchId, sampleKey));
    return names.filter((name) => name.endsWith('.renewed')).length + 1;
  }

  async function append(batchId: string, line: SampleEnd | Renewal): Promise<void> {
    const log = logOf(join(summary(batchId), `${ownerName(thisProcess())}.jsonl`));
    await log.append(line);
    await log.sync();
  }

  return {
    generation,

    async record(batchId, end) {
      const written = isContentVerdict(end.verdict)
        ? await ledger.put({ batchId, sampleKey: end.key, name: `end-${end.generation}` }, end)
        : end;
      await append(batchId, written);
      return written;
    },

    async isFinal(batchId, sampleKey) {
      const names = await listFolder(sampleFolder(batches, batchId, sampleKey));
      const renewals = names.filter((name) => name.endsWith('.renewed')).length;
      return names.includes(`end-${renewals + 1}.json`);
    },

    async read(batchId) {
      const ends = new Map<string, SampleEnd>();
      const renewals = new Map<string, number>();
      for (const name of await listFolder(summary(batchId))) {
        const text = (await readIfThere(join(summary(batchId), name)))?.toString() ?? '';
        for (const line of parseLines<SampleEnd | Renewal>(text)) {
          if ('renewedTo' in line) {
            renewals.set(line.key, Math.max(line.renewedTo, renewals.get(line.key) ?? 0));
            continue;
          }
          const known = ends.get(line.key);
          if (known === undefined || counts(line, known)) ends.set(line.key, line);
        }
      }
      for (const [key, renewedTo] of renewals) {
        if ((ends.get(key)?.generation ?? 0) < renewedTo) ends.delete(key);
      }
      return ends;
    },

    async renew(batchId, sampleKey) {
      const current = await generation(batchId, sampleKey);
      await writeOnce(join(sampleFolder(batches, batchId, sampleKey), `${current}.renewed`), '');
      await append(batchId, { key: sampleKey, renewedTo: current + 1 });
      return current + 1;
    },
  };
}

// --- internal ---

/** A line of the summary that takes back the ends of earlier generations. */
interface Renewal {
  key: string;
  renewedTo: number;
}

/** Whether an end stands for its sample rather than the one known so far. */
function counts(end: SampleEnd, known: SampleEnd): boolean {
  if (end.generation !== known.generation) return end.generation > known.generation;
  const [final, knownFinal] = [isContentVerdict(end.verdict), isContentVerdict(known.verdict)];
  if (final !== knownFinal) return final;
  return end.endedAt > known.endedAt;
}
