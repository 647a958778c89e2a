/** What of ours is in the engine of this host. */

import { connectEngine } from '../sandbox/engine.ts';
import { createReaper } from '../sandbox/reaper.ts';

/** Removes every container of an installation; returns how many. Throws EngineUnavailable. */
export async function removeContainers(installation: string): Promise<number> {
  const engine = await connectEngine();
  const removed = await createReaper({ engine, installation }).removeAll();
  return removed.length;
}
