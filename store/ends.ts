/** How samples ended: `end-<generation>.json` for a content verdict, and a summary line that status, stats and export read. */

import { isContentVerdict } from '../domain/outcome.ts';
import type { SampleEnd } from '../domain/sample.ts';
import type { SampleEnds, StageLedger } from '../domain/store.ts';
import { batchFolder } from './batches.ts';
import { sampleFolder } from './ledger.ts';
import { parseLines } from './lines.ts';
import type { Storage } from './storage.ts';

export function createEnds(storage: Storage, ledger: StageLedger): SampleEnds {
  const summary = (batchId: string) => `${batchFolder(batchId)}/summary`;

  async function generation(batchId: string, sampleKey: string): Promise<number> {
    const names = await storage.list(sampleFolder(batchId, sampleKey));
    return names.filter((name) => name.endsWith('.renewed')).length + 1;
  }

  async function append(batchId: string, line: SampleEnd | Renewal): Promise<void> {
    const log = storage.lines(summary(batchId));
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
      const names = await storage.list(sampleFolder(batchId, sampleKey));
      const renewals = names.filter((name) => name.endsWith('.renewed')).length;
      return names.includes(`end-${renewals + 1}.json`);
    },

    async read(batchId) {
      const ends = new Map<string, SampleEnd>();
      const renewals = new Map<string, number>();
      for (const name of await storage.list(summary(batchId))) {
        const text = (await storage.read(`${summary(batchId)}/${name}`))?.toString() ?? '';
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
      await storage.writeOnce(`${sampleFolder(batchId, sampleKey)}/${current}.renewed`, '');
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
