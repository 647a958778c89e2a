/** What of ours is in the engine of this host. */

import { connectEngine } from '../sandbox/engine.ts';
import { createReaper } from '../sandbox/reaper.ts';

/** Removes every container of an installation, and the volumes they had; returns how many containers. Throws EngineUnavailable. */
export async function removeContainers(installation: string): Promise<number> {
  const reaper = createReaper({ engine: await connectEngine(), installation });
  const removed = await reaper.removeAll();
  await reaper.removeVolumes();
  return removed.length;
}
