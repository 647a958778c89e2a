/** The engine of this host, and what of ours is in it. */

import { connectEngine } from '../sandbox/engine.ts';
import { createReaper, keepOwned, type OwnContainer } from '../sandbox/reaper.ts';
import { isRunning } from '../store/owner.ts';
import type { Store } from '../domain/store.ts';
import { isFinished } from './batch-state.ts';
import { readYield } from './yield.ts';

/** Throws EngineUnavailable, with what to do. */
export async function requireEngine(): Promise<void> {
  await connectEngine();
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

/**
 * Everything of a store in this host's engine, and the removal of what nothing uses unless `dryRun`. A container that runs and
 * waits for its rollout's next owner is in use: without one it ends itself. Images stay while a sample that has begun with one may
 * go on; with `unfinished` only while a worker is at work here. Throws EngineUnavailable.
 */
export async function cleanEngine(
  store: Store,
  { dryRun, unfinished }: { dryRun: boolean; unfinished: boolean },
): Promise<(OwnThing & { removed: boolean })[]> {
  const reaper = createReaper({ engine: await connectEngine(), installation: store.id });
  const isKept = async (container: OwnContainer) =>
    (await keepOwned({ ...store, runs: isRunning, forNextOwner: true }))(container);
  const found: OwnThing[] = [];
  for (const container of await reaper.list()) {
    const { id, name } = container;
    found.push({
      kind: 'container',
      id,
      name,
      ...((await isKept(container)) && { inUse: 'in use' }),
    });
  }
  const batch = await batchWithImages(store, unfinished);
  const held = batch === undefined ? {} : { inUse: `kept for batch ${batch}` };
  for (const { id, tags, bytes } of await reaper.listImages()) {
    const name = tags[0] ?? id.slice(0, 19);
    found.push({ kind: 'image', id, name, megabytes: Math.round(bytes / 1e6), ...held });
  }
  for (const name of await reaper.listVolumes()) found.push({ kind: 'volume', id: name, name });
  if (dryRun) return found.map((thing) => ({ ...thing, removed: false }));

  const unused = new Set(found.filter(({ inUse }) => inUse === undefined).map(({ id }) => id));
  // Asked again at each one: a worker may have begun meanwhile.
  const containers = await reaper.reap({
    keep: async (container) => !unused.has(container.id) || isKept(container),
  });
  const mayGo = (await batchWithImages(store, unfinished)) === undefined;
  const images = found.filter(({ kind, id }) => mayGo && kind === 'image' && unused.has(id));
  const gone = new Set([
    ...containers.map(({ id }) => id),
    ...(await reaper.removeImages(images.map(({ id }) => id))),
    ...(await reaper.removeVolumes()), // one that a container has stays
  ]);
  return found.map((thing) => ({ ...thing, removed: gone.has(thing.id) }));
}

/** Removes every container of an installation, and the volumes they had; returns how many containers. Throws EngineUnavailable. */
export async function removeContainers(installation: string): Promise<number> {
  const reaper = createReaper({ engine: await connectEngine(), installation });
  const removed = await reaper.removeAll();
  await reaper.removeVolumes();
  return removed.length;
}

// --- internal ---

/** A batch that images are kept for; with `unfinished` none, unless a worker is at work here. */
async function batchWithImages(store: Store, unfinished: boolean): Promise<string | undefined> {
  if (unfinished && (await store.attempts.live()).length === 0) return undefined;
  return unfinishedBatch(store);
}

async function unfinishedBatch(store: Store): Promise<string | undefined> {
  for (const name of await store.batches.list()) {
    const batch = await store.batches.get(name);
    if (batch !== undefined && !isFinished(await readYield(store, batch.id))) return name;
  }
  return undefined;
}
