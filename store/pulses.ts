/** `pulse/<worker>.json` of a batch: what each worker does at the batch's endpoints just now. */

import type { EndpointPulse, Pulses } from '../domain/store.ts';
import { batchFolder } from './batches.ts';
import { isGoneByName, ownerName, thisProcess } from './owner.ts';
import type { Storage } from './storage.ts';

/** What was said longer ago says nothing about now. */
export const PULSE_MS = 20_000;

export function createPulses(storage: Storage): Pulses {
  const folder = (batchId: string) => `${batchFolder(batchId)}/pulse`;
  const pathOf = (batchId: string, worker: string) => `${folder(batchId)}/${worker}.json`;

  async function read(batchId: string, worker: string): Promise<EndpointPulse[]> {
    if (isGoneByName(worker)) return [];
    const path = pathOf(batchId, worker);
    const ageMs = await storage.ageMs(path);
    if (ageMs === undefined || ageMs > PULSE_MS) return [];
    const bytes = await storage.read(path);
    return bytes === undefined ? [] : (JSON.parse(bytes.toString()) as EndpointPulse[]);
  }

  return {
    async beat(batchId, endpoints) {
      const path = pathOf(batchId, ownerName(thisProcess()));
      if (endpoints.length === 0) await storage.remove(path);
      else await storage.replace(path, JSON.stringify(endpoints));
    },

    async now(batchId) {
      const names = await storage.list(folder(batchId));
      const workers = names.flatMap((name) => /^(.*)\.json$/.exec(name)?.[1] ?? []);
      const pulses = await Promise.all(workers.map((worker) => read(batchId, worker)));
      return addUp(pulses.flat());
    },
  };
}

// --- internal ---

function addUp(pulses: EndpointPulse[]): EndpointPulse[] {
  const sums = new Map<string, EndpointPulse>();
  for (const pulse of pulses) {
    const { endpoint, model } = pulse;
    const sum = sums.get(`${endpoint} ${model}`);
    sums.set(`${endpoint} ${model}`, {
      endpoint,
      model,
      callsUnderWay: pulse.callsUnderWay + (sum?.callsUnderWay ?? 0),
      inputTokensPerSecond: pulse.inputTokensPerSecond + (sum?.inputTokensPerSecond ?? 0),
      outputTokensPerSecond: pulse.outputTokensPerSecond + (sum?.outputTokensPerSecond ?? 0),
    });
  }
  return [...sums.values()];
}
