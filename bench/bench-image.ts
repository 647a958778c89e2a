/** The prepared image a bench runs in: of a small project made here, or of an image that has its own /testbed. */

import tar from 'tar-stream';
import { readLabel, REPOSITORY_PATH } from '../domain/ids.ts';
import type { SandboxLimits } from '../domain/ports.ts';
import type { Engine } from '../sandbox/engine.ts';
import { createImages } from '../sandbox/image.ts';
import { toRepositoryTar } from './command-mix.ts';

const BASE_IMAGE = 'twinpatch/base:bookworm';

/**
 * An image id. One that was prepared by us is used as it is; of any other, the tree at /testbed is taken and prepared on top.
 * Throws an Error for an image that is not there, ImageError, EngineUnavailable.
 */
export async function prepareBenchImage(
  engine: Engine,
  options: { installation: string; limits: SandboxLimits; image?: string | undefined },
  signal: AbortSignal,
): Promise<string> {
  const { installation, limits, image } = options;
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
      key: `bench-${installation}`,
      base: { image: image ?? BASE_IMAGE },
      snapshot: () =>
        image === undefined ? Promise.resolve(toRepositoryTar()) : readTree(engine, image),
      setup: [],
      limits,
      setupTimeoutMs: 60_000,
    },
    signal,
  );
  return imageId;
}

// --- internal ---

/** The tree at /testbed as a tar whose paths are relative to it. */
async function readTree(engine: Engine, image: string): Promise<NodeJS.ReadableStream> {
  const container = await engine.docker.createContainer({ Image: image, Cmd: ['true'] });
  try {
    const archive = await container
      .getArchive({ path: REPOSITORY_PATH })
      .catch((cause: unknown) => {
        throw new Error(`it has no ${REPOSITORY_PATH}: name one that has`, { cause });
      });
    const extract = archive.pipe(tar.extract());
    const pack = tar.pack();
    for await (const entry of extract) {
      const name = entry.header.name.replace(/^[^/]*\/?/, '');
      const content: Buffer[] = [];
      for await (const chunk of entry as AsyncIterable<Buffer>) content.push(chunk);
      if (name !== '') pack.entry({ ...entry.header, name }, Buffer.concat(content));
    }
    pack.finalize();
    // A stream of streamx: it works as Node's, and its types don't say so.
    return pack as unknown as NodeJS.ReadableStream;
  } finally {
    await container.remove({ force: true });
  }
}
