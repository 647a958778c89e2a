/**
 * A budget for prepared images: when they take more, those used longest ago go. The engine does not know when an image was last
 * used, so each use touches a file of this host's.
 */

import { mkdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { OwnImage, Reaper } from './reaper.ts';

/** A sample whose image was found uses it again for its second rollout, hours later at most. */
const IN_USE_MS = 6 * 3600_000;

export interface ImageUses {
  /** An image is in use from now on for some hours. */
  touch(imageId: string): Promise<void>;
  /**
   * Removes images of the installation until the rest takes at most the budget: the one used longest ago first, none that a
   * container has or that is in use. Returns those removed.
   */
  evict(): Promise<OwnImage[]>;
}

/** `folder` is this host's own, one for each engine. */
export function createImageUses(
  reaper: Reaper,
  { folder, maxBytes, inUseMs = IN_USE_MS }: { folder: string; maxBytes: number; inUseMs?: number },
): ImageUses {
  const fileOf = (imageId: string) => join(folder, imageId.replace(/^sha256:/, ''));

  /** Milliseconds since the epoch; of an image nobody touched here, when it was made. */
  async function lastUse({ id, createdAt }: OwnImage): Promise<number> {
    const touched = await stat(fileOf(id)).catch(() => undefined);
    return Math.max(touched?.mtimeMs ?? 0, createdAt);
  }

  return {
    async touch(imageId) {
      const now = new Date();
      await utimes(fileOf(imageId), now, now).catch(async () => {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        await writeFile(fileOf(imageId), '');
      });
    },
    async evict() {
      const images = await reaper.listImages();
      let bytes = images.reduce((sum, image) => sum + image.bytes, 0);
      if (bytes <= maxBytes) return [];
      const dated = await Promise.all(
        images.map(async (image) => ({ image, usedAt: await lastUse(image) })),
      );
      dated.sort((a, b) => a.usedAt - b.usedAt);
      const evicted: OwnImage[] = [];
      for (const { image, usedAt } of dated) {
        if (bytes <= maxBytes || Date.now() - usedAt < inUseMs) break;
        if ((await lastUse(image)) !== usedAt) continue; // used meanwhile, by whatever process
        if ((await reaper.removeImages([image.id])).length === 0) continue;
        bytes -= image.bytes;
        evicted.push(image);
        await rm(fileOf(image.id), { force: true });
      }
      return evicted;
    },
  };
}
