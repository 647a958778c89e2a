/** The engine of this host, and what of ours is in it. */

import { EngineUnavailable } from '../domain/ports.ts';
import { connectEngine } from '../sandbox/engine.ts';
import { createReaper } from '../sandbox/reaper.ts';
import type { Store } from '../domain/store.ts';
import { CliError, EXIT } from './errors.ts';

/** Throws CliError unless the engine answers. */
export async function requireEngine(): Promise<void> {
  await connectEngine().catch((error: unknown) => {
    if (!(error instanceof EngineUnavailable)) throw error;
    throw new CliError(EXIT.failed, error.message, { cause: error, next: 'twinpatch doctor' });
  });
}

/** A container, image or volume of an installation. */
export interface OwnThing {
  kind: 'container' | 'image' | 'volume';
  id: string;
  name: string;
  megabytes?: number;
  /** Why it stays; absent where nothing uses it. */
  inUse?: string;
}

/** Everything of a store in this host's engine. Throws EngineUnavailable. */
export async function listOwn(store: Store, isWorking: boolean): Promise<OwnThing[]> {
  const reaper = createReaper({ engine: await connectEngine(), installation: store.id });
  const containers: OwnThing[] = [];
  for (const { id, name, labels } of await reaper.list()) {
    const isOwned =
      labels.rollout === undefined ? isWorking : await store.leases.isLive(labels.rollout);
    containers.push({ kind: 'container', id, name, ...(isOwned ? { inUse: 'in use' } : {}) });
  }
  const held: { inUse?: string } = isWorking ? { inUse: 'kept for the worker' } : {};
  const images = (await reaper.listImages()).map(({ id, tags, bytes }): OwnThing => {
    const name = tags[0] ?? id.slice(0, 19);
    return { kind: 'image', id, name, megabytes: Math.round(bytes / 1e6), ...held };
  });
  const volumes = (await reaper.listVolumes()).map((name): OwnThing => ({
    kind: 'volume',
    id: name,
    name,
    ...held,
  }));
  return [...containers, ...images, ...volumes];
}

/** Removes what of it is not in use; returns the ids that are gone. Throws EngineUnavailable. */
export async function removeUnused(store: Store, found: OwnThing[]): Promise<Set<string>> {
  const reaper = createReaper({ engine: await connectEngine(), installation: store.id });
  const idsOf = (kind: OwnThing['kind']) =>
    found.filter((one) => one.kind === kind && one.inUse === undefined).map(({ id }) => id);
  const unused = new Set(idsOf('container'));
  const containers = await reaper.reap({ keep: ({ id }) => !unused.has(id) });
  const images = await reaper.removeImages(idsOf('image'));
  const volumes = idsOf('volume').length > 0 ? await reaper.removeVolumes() : [];
  return new Set([...containers.map(({ id }) => id), ...images, ...volumes]);
}

/** Removes every container of an installation, and the volumes they had; returns how many containers. Throws EngineUnavailable. */
export async function removeContainers(installation: string): Promise<number> {
  const reaper = createReaper({ engine: await connectEngine(), installation });
  const removed = await reaper.removeAll();
  await reaper.removeVolumes();
  return removed.length;
}
