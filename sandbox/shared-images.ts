/** Prepared images that go from host to host: saved by the engine that made one, loaded by the others under the same id. */

import { ImageError, type SharedImage, type SharedImages } from '../domain/ports.ts';
import { call, type Engine } from './engine.ts';

/** Of an image's way into the engine or out of it. */
const TRANSFER_TIMEOUT_MS = 15 * 60_000;

/** Gives an image to the other hosts; returns the one that counts for all of them, which another host may have made first. */
export async function shareImage(
  engine: Engine,
  shared: SharedImages,
  key: string,
  imageId: string,
): Promise<SharedImage> {
  const archive = await call('image save', () => engine.docker.getImage(imageId).get(), {
    timeoutMs: TRANSFER_TIMEOUT_MS,
  });
  return shared.put(key, imageId, archive as NodeJS.ReadableStream & AsyncIterable<Uint8Array>);
}

/** Has an image of another host on this engine, under its tag. Throws ImageError where the engine gives it another id. */
export async function loadImage(
  engine: Engine,
  { imageId, archive }: SharedImage,
  tag: string,
): Promise<void> {
  const said = await call(
    'image load',
    async () => engine.docker.loadImage(await archive(), { quiet: true }),
    { timeoutMs: TRANSFER_TIMEOUT_MS },
  );
  // What the engine says of its progress: the image is there when the answer ends.
  for await (const piece of said as AsyncIterable<Uint8Array>) void piece;
  const [repo, name] = tag.split(':') as [string, string];
  try {
    await call('image tag', () => engine.docker.getImage(imageId).tag({ repo, tag: name }));
  } catch (error) {
    throw new ImageError(
      'not-found',
      `The image ${imageId} of another host has another id on this engine, which stores images in another way. Use the same kind of engine on all hosts.`,
      { cause: error },
    );
  }
}
