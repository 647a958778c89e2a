/** Prepared images: a base image, a snapshot's tree at /testbed, its set-up, and one commit. Built once per engine and key. */

import { type Labels, readLabel, toEngineLabels } from '../domain/ids.ts';
import { ImageError, type Images, type ImageSpec, type SharedImages } from '../domain/ports.ts';
import { ownName } from './container.ts';
import { prepareImage } from './prepare.ts';
import { call, type Engine, statusOf } from './engine.ts';
import type { ImageUses } from './image-uses.ts';
import { ensureBase } from './base-image.ts';
import { DISK_RESERVE, type DiskSpace, whileRoom } from './engine-disk.ts';
import { loadImage, shareImage } from './shared-images.ts';

export interface PreparedImages extends Images {
  /**
   * The prepared image of a key (letters, digits, `_`, `.`, `-`): the one that is there, or a new one (`built`). Callers of the
   * same key share one build. `warnings` say where a copy of the repository's own package is. Throws ImageError ('not-found':
   * the base can't be had; 'build-failed': with the end of the output), EngineUnavailable.
   */
  prepare(
    spec: ImageSpec,
    signal: AbortSignal,
  ): Promise<{ imageId: string; warnings: string[]; built: boolean }>;
}

/** Where an installation finds a prepared image again. Another one may remove its own without harm to this one. */
export function preparedTag(installation: string, key: string): string {
  return `${ownName(installation, 'prepared')}:${key}`;
}

/**
 * Prepared images on an engine; what is built carries the installation's labels. With `shared`, hosts have the same image of a
 * key: the one that was made first.
 */
export function createImages(
  engine: Engine,
  options: {
    installation: string;
    uses?: Pick<ImageUses, 'touch' | 'evict'>;
    /** Room that a preparation leaves on the engine's disk. */
    diskReserve?: Partial<DiskSpace>;
    shared?: SharedImages | undefined;
  },
): PreparedImages {
  const { installation, shared } = options;
  const building = new Map<string, Promise<string>>();
  /** Keys whose image here is known to be that of all hosts. */
  const agreed = new Set<string>();

  /** An image that is there is there, whatever can't be noted of its use. */
  async function keepBooks(work: (uses: NonNullable<typeof options.uses>) => Promise<void>) {
    if (options.uses) await work(options.uses).catch(() => undefined);
  }

  const noteNew = (imageId: string) =>
    keepBooks(async (uses) => {
      await uses.touch(imageId);
      await uses.evict();
    });

  async function build(spec: ImageSpec): Promise<string> {
    const imageLabels: Labels = { installation, role: 'image' };
    const reserveOf = () => ({ ...DISK_RESERVE, ...options.diskReserve });
    const imageId = await whileRoom(engine, reserveOf, async (hasRoom) =>
      prepareImage(engine, {
        ...spec,
        baseId: await ensureBase(engine, spec, toEngineLabels(imageLabels)),
        tag: preparedTag(installation, spec.key),
        installation,
        imageLabels,
        hasRoom,
      }),
    );
    await noteNew(imageId);
    return imageId;
  }

  /** The image of a key that this host and all others have; `local` is what is here. */
  async function agree(spec: ImageSpec, local: string | undefined): Promise<string> {
    if (shared === undefined) return local ?? build(spec);
    const theirs =
      (await shared.find(spec.key)) ??
      (await shareImage(engine, shared, spec.key, local ?? (await build(spec))));
    const tag = preparedTag(installation, spec.key);
    if ((await findImage(engine, tag)) !== theirs.imageId) {
      await loadImage(engine, theirs, tag);
      await noteNew(theirs.imageId);
    }
    agreed.add(spec.key);
    return theirs.imageId;
  }

  return {
    async prepare(spec, signal) {
      if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(spec.key)) {
        throw new ImageError(
          'build-failed',
          `${JSON.stringify(spec.key)} can't be the key of an image: use letters, digits, _ . -`,
        );
      }
      signal.throwIfAborted();
      const found = await findImage(engine, preparedTag(installation, spec.key));
      if (found !== undefined && (shared === undefined || agreed.has(spec.key))) {
        await keepBooks((uses) => uses.touch(found));
        return { imageId: found, warnings: await warningsOf(engine, found), built: false };
      }
      let work = building.get(spec.key);
      const first = work === undefined;
      if (work === undefined) {
        // Nobody's signal ends the shared work: another caller may be waiting for it, and its time is limited.
        work = agree(spec, found).finally(() => building.delete(spec.key));
        building.set(spec.key, work);
      }
      const imageId = await untilAborted(work, signal);
      return { imageId, warnings: await warningsOf(engine, imageId), built: first };
    },

    async obtain(imageId, key) {
      if ((await findImage(engine, imageId)) !== undefined)
        return keepBooks((uses) => uses.touch(imageId));
      const theirs = await shared?.find(key);
      if (theirs?.imageId !== imageId) {
        throw new ImageError(
          'not-found',
          `The prepared image ${imageId} is not on this host. Resume the batch to prepare it again; workers of several hosts need TWINPATCH_SHARE_IMAGES=1.`,
        );
      }
      await loadImage(engine, theirs, preparedTag(installation, key));
      await noteNew(imageId);
    },
  };
}

/** The id of an image on the engine, or undefined. */
export async function findImage(engine: Engine, reference: string): Promise<string | undefined> {
  try {
    return (await call('image inspect', () => engine.docker.getImage(reference).inspect())).Id;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

// --- internal ---

async function warningsOf(engine: Engine, imageId: string): Promise<string[]> {
  const { Config } = await call('image inspect', () => engine.docker.getImage(imageId).inspect());
  const copies = readLabel(Config.Labels ?? {}, 'copies');
  if (copies === undefined) return [];
  return [
    `The set-up left a copy of the repository's own package in ${copies.replaceAll(' ', ', ')}: programs may load it instead of what is changed. Install it in place, as by \`pip install -e .\`.`,
  ];
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => {}); // it may fail after the caller has gone
  let onAbort: () => void = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
  });
  aborted.catch(() => {});
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
