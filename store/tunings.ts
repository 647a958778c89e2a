/** `tuning.json`, of a batch and of the whole store: what was set while batches run. */

import { StoreCorrupt, type Tuning, type Tunings } from '../domain/store.ts';
import { batchFolder } from './batches.ts';
import type { Storage } from './storage.ts';

const NAME = 'tuning.json';

export function createTunings(storage: Storage): Tunings {
  const pathOf = (batchId: string) => `${batchFolder(batchId)}/${NAME}`;

  async function read(path: string): Promise<Tuning> {
    const bytes = await storage.read(path);
    if (bytes === undefined) return {};
    try {
      return JSON.parse(bytes.toString()) as Tuning;
    } catch (error) {
      throw new StoreCorrupt(
        `${storage.placeOf(path)}: not JSON; remove it, and tune again what was set`,
        { cause: error },
      );
    }
  }

  async function change(path: string, values: object): Promise<void> {
    if (Object.keys(values).length === 0) return;
    const tuning = Object.entries({ ...(await read(path)), ...values });
    const set = Object.fromEntries(tuning.filter(([, value]) => value !== null));
    await storage.replace(path, `${JSON.stringify(set)}\n`);
  }

  const slots = async () => (await read(NAME)).slots;

  return {
    slots,

    async read(batchId) {
      const [tuning, ofAll] = await Promise.all([read(pathOf(batchId)), slots()]);
      return ofAll === undefined ? tuning : { ...tuning, slots: ofAll };
    },

    async change(batchId, { slots: ofAll, ...ofBatch }) {
      await change(pathOf(batchId), ofBatch);
      await change(NAME, ofAll === undefined ? {} : { slots: ofAll });
    },
  };
}
