/** The prepared image a bench runs in: of a small project made here, or of an image that has its own /testbed. */

import type { Readable } from 'node:stream';
import { DEFAULT_IMAGE } from '../domain/config.ts';
import { buffer } from 'node:stream/consumers';
import tar from 'tar-stream';
import { readLabel, REPOSITORY_PATH, toEngineLabels } from '../domain/ids.ts';
import type { SandboxLimits } from '../domain/ports.ts';
import { type ArchiveFile, toArchive } from '../sandbox/archive.ts';
import type { Engine } from '../sandbox/engine.ts';
import { createImages } from '../sandbox/image.ts';
import { toRepositoryTar } from './command-mix.ts';

/** Of every sandbox of a bench. */
export const LIMITS: SandboxLimits = {
  memoryBytes: 512 * 1024 ** 2,
  cpus: 2,
  maxProcesses: 256,
  maxFileBytes: 256 * 1024 ** 2,
  maxDiskBytes: 4 * 1024 ** 3,
  maxDiskFiles: 1_000_000,
};

/**
 * An image id. One that was prepared by us is used as it is; of any other, the tree at /testbed is taken and prepared on top.
 * Throws an Error for an image that is not there, ImageError, EngineUnavailable.
 */
export async function prepareBenchImage(
  engine: Engine,
  options: {
    installation: string;
    image?: string | undefined;
    /** What is at /testbed where no image says it; `name` tells trees apart. */
    tree?: { name: string; archive: () => Readable };
  },
  signal: AbortSignal,
): Promise<string> {
  const { installation, image, tree = { name: 'mix', archive: toRepositoryTar } } = options;
  if (image !== undefined) {
    const found = await engine.docker
      .getImage(image)
      .inspect()
      .catch((cause: unknown) => {
        throw new Error(`there is no image ${image} here: pull or build it first`, { cause });
      });
    if (readLabel(found.Config.Labels ?? {}, 'role') === 'image') return found.Id;
  }
  const { imageId } = await createImages(engine, { installation }).prepare(
    {
      key: `bench-${installation}-${tree.name}`,
      base: { image: image ?? DEFAULT_IMAGE },
      snapshot: () =>
        image === undefined
          ? Promise.resolve(tree.archive())
          : readTree(engine, installation, image),
      setup: [],
      limits: LIMITS,
      setupTimeoutMs: 60_000,
    },
    signal,
  );
  return imageId;
}

// --- internal ---

/** The tree at /testbed as a tar whose paths are relative to it. */
async function readTree(engine: Engine, installation: string, image: string): Promise<Readable> {
  const container = await engine.docker.createContainer({
    Image: image,
    Cmd: ['true'],
    Labels: toEngineLabels({ installation, role: 'prepare' }),
  });
  try {
    const archive = await container
      .getArchive({ path: REPOSITORY_PATH })
      .catch((cause: unknown) => {
        throw new Error(`it has no ${REPOSITORY_PATH}: name one that has`, { cause });
      });
    const extract = archive.pipe(tar.extract());
    const files: ArchiveFile[] = [];
    for await (const entry of extract) {
      const name = entry.header.name.replace(/^[^/]*\/?/, '');
      const content = await buffer(entry);
      if (name !== '') files.push({ ...entry.header, name, content });
    }
    return toArchive(files);
  } finally {
    await container.remove({ force: true });
  }
}
