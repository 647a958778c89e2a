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

  return {
    generation,

    async record(batchId, end) {
      const written = isContentVerdict(end.verdict)
        ? await ledger.put({ batchId, sampleKey: end.key, name: `end-${end.generation}` }, end)
        : end;
      const log = logOf(join(summary(batchId), `${ownerName(thisProcess())}.jsonl`));
      await log.append(written);
      await log.sync();
      return written;
    },

    async isFinal(batchId, sampleKey) {
      const names = await listFolder(sampleFolder(batches, batchId, sampleKey));
      const renewals = names.filter((name) => name.endsWith('.renewed')).length;
      return names.includes(`end-${renewals + 1}.json`);
    },

    async read(batchId) {
      const ends = new Map<string, SampleEnd>();
      for (const name of await listFolder(summary(batchId))) {
        const text = (await readIfThere(join(summary(batchId), name)))?.toString() ?? '';
        for (const end of parseLines<SampleEnd>(text)) {
          const known = ends.get(end.key);
          if (known === undefined || counts(end, known)) ends.set(end.key, end);
        }
      }
      return ends;
    },

    async renew(batchId, sampleKey) {
      const current = await generation(batchId, sampleKey);
      await writeOnce(join(sampleFolder(batches, batchId, sampleKey), `${current}.renewed`), '');
      return current + 1;
    },
  };
}

// --- internal ---

/** Whether an end stands for its sample rather than the one known so far. */
function counts(end: SampleEnd, known: SampleEnd): boolean {
  if (end.generation !== known.generation) return end.generation > known.generation;
  const [final, knownFinal] = [isContentVerdict(end.verdict), isContentVerdict(known.verdict)];
  if (final !== knownFinal) return final;
  return end.endedAt > known.endedAt;
}
