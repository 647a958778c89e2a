/** The engine of this host, and what of ours is in it. */

import { EngineUnavailable } from '../domain/ports.ts';
import { connectEngine } from '../sandbox/engine.ts';
import { createReaper } from '../sandbox/reaper.ts';
import { CliError, EXIT } from './errors.ts';

/** Throws CliError unless the engine answers. */
export async function requireEngine(): Promise<void> {
  await connectEngine().catch((error: unknown) => {
    if (!(error instanceof EngineUnavailable)) throw error;
    throw new CliError(EXIT.failed, error.message, { cause: error, next: 'twinpatch doctor' });
  });
}

/** Removes every container of an installation, and the volumes they had; returns how many containers. Throws EngineUnavailable. */
export async function removeContainers(installation: string): Promise<number> {
  const reaper = createReaper({ engine: await connectEngine(), installation });
  const removed = await reaper.removeAll();
  await reaper.removeVolumes();
  return removed.length;
}
