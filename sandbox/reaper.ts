/** Lists and removes what carries our labels, and nothing else. */

import { type Labels, readLabel, type SandboxRole, toLabelFilters } from '../domain/ids.ts';
import type { Store } from '../domain/store.ts';
import { removeContainer } from './container.ts';
import { call, type Engine, statusOf } from './engine.ts';

export interface OwnContainer {
  id: string;
  name: string;
  labels: Partial<Labels> & { role: SandboxRole };
  /** Its first process has ended; one that was never started has not. */
  ended: boolean;
  /** Milliseconds since the epoch, by the engine's clock. */
  createdAt: number;
}

export interface OwnImage {
  id: string;
  tags: string[];
  bytes: number;
  createdAt: number;
}

export interface Reaper {
  /** Containers of this installation, of one batch or of all. */
  list(filter?: { batch?: string }): Promise<OwnContainer[]>;
  /** Removes each container of this installation for which `keep` says no; returns those removed. */
  reap(options: {
    keep: (container: OwnContainer) => boolean | Promise<boolean>;
  }): Promise<OwnContainer[]>;
  /** Removes the containers of this installation, of one batch or of all. */
  removeAll(filter?: { batch?: string }): Promise<OwnContainer[]>;
  /** Prepared images of this installation. */
  listImages(): Promise<OwnImage[]>;
  /** Removes prepared images; one that a container uses stays. Returns the ids removed. */
  removeImages(ids: string[]): Promise<string[]>;
  /** Names of this installation's volumes with guestd, of this version and of others. */
  listVolumes(): Promise<string[]>;
  /** Removes those volumes, without `keep`; one that a container has stays. Returns the names removed. */
  removeVolumes(keep?: string): Promise<string[]>;
}

/**
 * Which containers stay: those whose rollout has an owner, with `forNextOwner` also those that run and whose rollout waits for
 * one; of the others those whose process runs, but verifiers that have ended. One that prepares an image is stopped while it is
 * committed. `runs` says it of a process, and undefined for what is not known here: that counts as running while any process of
 * the store works on this host.
 */
export async function keepOwned({
  attempts,
  leases,
  runs,
  forNextOwner = false,
}: {
  attempts: Pick<Store['attempts'], 'live'>;
  leases: Pick<Store['leases'], 'ownerOf'>;
  runs: (process: string) => boolean | undefined;
  forNextOwner?: boolean;
}): Promise<Parameters<Reaper['reap']>[0]['keep']> {
  const isBusy = (await attempts.live()).length > 0;
  return async ({ labels: { rollout, role, process }, ended }) => {
    if (rollout === undefined) {
      const isRunning = process === undefined ? undefined : runs(process);
      return (isRunning ?? isBusy) && !(role === 'verifier' && ended);
    }
    // Asked once: the next owner may come between two questions.
    const owner = await leases.ownerOf(rollout);
    return owner === 'live' || (forNextOwner && !ended && owner === 'gone');
  };
}

/** The reaper of one installation. */
export function createReaper({
  engine,
  installation,
}: {
  engine: Engine;
  installation: string;
}): Reaper {
  async function list(filter: { batch?: string } = {}): Promise<OwnContainer[]> {
    const listed = await call('container list', (abortSignal) =>
      engine.docker.listContainers({
        all: true,
        filters: { label: toLabelFilters({ installation, ...filter }) },
        abortSignal,
      }),
    );
    return listed.map((container) => ({
      id: container.Id,
      name: (container.Names[0] ?? '').replace(/^\//, ''),
      labels: ownLabels(container.Labels),
      ended: container.State === 'exited' || container.State === 'dead',
      createdAt: container.Created * 1000,
    }));
  }

  async function reap({ keep }: Parameters<Reaper['reap']>[0]) {
    const removed: OwnContainer[] = [];
    for (const container of await list()) {
      if (await keep(container)) continue;
      await removeContainer(engine, container.id);
      removed.push(container);
    }
    return removed;
  }

  async function listVolumes(): Promise<string[]> {
    const { Volumes } = await call('volume list', (abortSignal) =>
      engine.docker.listVolumes({
        filters: { label: toLabelFilters({ installation, role: 'guest' }) },
        abortSignal,
      }),
    );
    return (Volumes ?? []).map(({ Name }) => Name);
  }

  return {
    list,
    reap,
    async removeAll(filter = {}) {
      const containers = await list(filter);
      await Promise.all(containers.map(({ id }) => removeContainer(engine, id)));
      return containers;
    },
    async listImages() {
      const images = await call('image list', (abortSignal) =>
        engine.docker.listImages({
          filters: { label: toLabelFilters({ installation, role: 'image' }) },
          abortSignal,
        }),
      );
      return images.map((image) => ({
        id: image.Id,
        tags: image.RepoTags ?? [],
        bytes: image.Size,
        createdAt: image.Created * 1000,
      }));
    },
    removeImages: (ids) =>
      removeUnused('image', ids, (id, abortSignal) =>
        engine.docker.getImage(id).remove({ abortSignal }),
      ),
    listVolumes,
    removeVolumes: async (keep) =>
      removeUnused(
        'volume',
        (await listVolumes()).filter((name) => name !== keep),
        (name, abortSignal) => engine.docker.getVolume(name).remove({ abortSignal }),
      ),
  };
}

// --- internal ---

/** Removes what nothing uses and is still there; returns what it removed. */
async function removeUnused(
  kind: string,
  names: string[],
  remove: (name: string, abortSignal: AbortSignal) => Promise<unknown>,
): Promise<string[]> {
  const removed: string[] = [];
  for (const name of names) {
    try {
      await call(`${kind} remove`, (abortSignal) => remove(name, abortSignal));
      removed.push(name);
    } catch (error) {
      if (statusOf(error) !== 404 && statusOf(error) !== 409) throw error;
    }
  }
  return removed;
}

const LABELS = ['installation', 'role', 'batch', 'sample', 'rollout', 'process'] as const;

function ownLabels(labels: Record<string, string>): OwnContainer['labels'] {
  const own: Partial<Record<keyof Labels, string>> = {};
  for (const name of LABELS) {
    const value = readLabel(labels, name);
    if (value !== undefined) own[name] = value;
  }
  return own as OwnContainer['labels'];
}
