/** `batches/<id>/batch.json` and the manifest, in pages of 1,000 lines. */

import { canonicalJson, sampleIndex } from '../domain/ids.ts';
import type { Sample } from '../domain/sample.ts';
import { type BatchRecord, type Batches, StoreCorrupt } from '../domain/store.ts';
import { parseLines } from './lines.ts';
import type { Storage } from './storage.ts';

const PAGE_LINES = 1000;

/** Folder of a batch. */
export function batchFolder(batchId: string): string {
  return `batches/${batchId}`;
}

export function createBatches(storage: Storage): Batches {
  const manifest = (batchId: string) => `${batchFolder(batchId)}/manifest`;
  const pagePath = (batchId: string, page: number) =>
    `${manifest(batchId)}/${String(page).padStart(6, '0')}.jsonl`;

  async function readPage(batchId: string, page: number): Promise<Sample[]> {
    const path = pagePath(batchId, page);
    const bytes = await storage.read(path);
    try {
      return bytes === undefined ? [] : parseLines<Sample>(bytes.toString());
    } catch (error) {
      throw new StoreCorrupt(`${storage.placeOf(path)}: not a page of a manifest`, {
        cause: error,
      });
    }
  }

  async function planned(batchId: string): Promise<number> {
    const pages = await storage.list(manifest(batchId));
    if (pages.length === 0) return 0;
    const last = pages.length - 1;
    return last * PAGE_LINES + (await readPage(batchId, last)).length;
  }

  const recordPath = (batchId: string) => `${batchFolder(batchId)}/batch.json`;

  async function get(batchId: string): Promise<BatchRecord | undefined> {
    const path = recordPath(batchId);
    const bytes = await storage.read(path);
    if (bytes === undefined) return undefined;
    let record: BatchRecord;
    try {
      record = JSON.parse(bytes.toString()) as BatchRecord;
    } catch (error) {
      throw new StoreCorrupt(`${storage.placeOf(path)}: not JSON; restore it from a copy`, {
        cause: error,
      });
    }
    if (record.formatVersion !== 1) {
      throw new StoreCorrupt(
        `${storage.placeOf(path)}: format ${String(record.formatVersion)} was written by another version of twinpatch; use that version`,
      );
    }
    return record;
  }

  return {
    async list() {
      return storage.list('batches');
    },

    get,

    async begin(record) {
      const isNew = await storage.writeOnce(recordPath(record.id), toText(record));
      return isNew ? record : ((await get(record.id)) ?? record);
    },

    async put(record) {
      await storage.replace(recordPath(record.id), toText(record));
    },

    planned,

    async append(batchId, samples) {
      let index = await planned(batchId);
      let rest = samples.filter(({ key }) => sampleIndex(key) >= index);
      while (rest.length > 0) {
        const page = Math.floor(index / PAGE_LINES);
        const before = await readPage(batchId, page);
        const fitting = rest.slice(0, PAGE_LINES - before.length);
        for (const [offset, sample] of fitting.entries()) {
          if (sampleIndex(sample.key) !== index + offset) {
            throw new Error(`sample ${sample.key} does not follow ${index + offset} samples`);
          }
        }
        const lines = [...before, ...fitting].map((sample) => `${canonicalJson(sample)}\n`);
        await storage.replace(pagePath(batchId, page), lines.join(''));
        index += fitting.length;
        rest = rest.slice(fitting.length);
      }
    },

    async samples(batchId, from, count) {
      const found: Sample[] = [];
      for (let page = Math.floor(from / PAGE_LINES); found.length < count; page += 1) {
        const lines = await readPage(batchId, page);
        const start = Math.max(0, from - page * PAGE_LINES);
        found.push(...lines.slice(start, start + count - found.length));
        if (lines.length < PAGE_LINES) break;
      }
      return found;
    },
  };
}

// --- internal ---

function toText(record: BatchRecord): string {
  return `${JSON.stringify(record, undefined, 2)}\n`;
}
