/** The image under a prepared one: there already, pulled, or built from a Dockerfile. */

import { createHash } from 'node:crypto';

import { EngineUnavailable, ImageError, type ImageSpec } from '../domain/ports.ts';
import { toArchive } from './archive.ts';
import { call, type Engine, isConnectionError, statusOf } from './engine.ts';

const PULL_TIMEOUT_MS = 10 * 60_000;
/** The registry was reached and can't serve now. Engines tell it by their text alone, all of them under status 500. */
const REGISTRY_TROUBLE =
  /toomanyrequests|\b429\b|status(?: code)?\b.*\b5\d\d\b|timeout|connection reset|unexpected EOF/i;
/** As much of a failed build's output as a person needs to see why. */
export const SHOWN_OUTPUT_BYTES = 2048;

/** The id of the base image; one that is built here gets `labels`. Throws ImageError with the next step, EngineUnavailable (a registry that can't serve now, too). */
export async function ensureBase(
  engine: Engine,
  { base, setupTimeoutMs }: Pick<ImageSpec, 'base' | 'setupTimeoutMs'>,
  labels: Record<string, string>,
): Promise<string> {
  if ('dockerfile' in base) return buildDockerfile(engine, base.dockerfile, labels, setupTimeoutMs);
  const { image } = base;
  const inspect = async () =>
    (await call('image inspect', () => engine.docker.getImage(image).inspect())).Id;
  try {
    return await inspect();
  } catch (error) {
    if (statusOf(error) !== 404 && statusOf(error) !== 400) throw error;
  }
  try {
    await pullOnce(engine, image);
    return await inspect();
  } catch (error) {
    if (error instanceof EngineUnavailable) throw error;
    const reason = String((error as Error).message).trim();
    if (isRegistryTrouble(reason)) {
      throw new EngineUnavailable(`The image ${image} can't be pulled now: ${reason}`, {
        cause: error,
      });
    }
    throw new ImageError(
      'not-found',
      `The image ${image} is not on this host and can't be pulled: ${reason}. ` +
        `Run \`docker pull ${image}\` (or \`docker load\`), or name another one in environment.image.`,
      { cause: error },
    );
  }
}

/** The base image in messages. */
export function nameOfBase(base: ImageSpec['base']): string {
  return 'image' in base ? base.image : 'environment.dockerfile';
}

// --- internal ---

function isRegistryTrouble(reason: string): boolean {
  return REGISTRY_TROUBLE.test(reason) && !reason.includes('lookup');
}

/** Follows a stream of the engine's progress lines to its end. Throws the error that a line reports, EngineUnavailable. */
async function followProgress(
  stream: NodeJS.ReadableStream,
  timeoutMs: number,
  onLine: (line: { stream?: string; aux?: { ID?: string } }) => void = () => {},
): Promise<void> {
  const timer = setTimeout(
    () =>
      (stream as NodeJS.ReadableStream & { destroy(error: Error): void }).destroy(
        new Error(`no end after ${timeoutMs / 1000} s`),
      ),
    timeoutMs,
  );
  try {
    let rest = '';
    for await (const chunk of stream) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines.filter((text) => text.trim() !== '')) {
        const event = JSON.parse(line) as {
          error?: string;
          stream?: string;
          aux?: { ID?: string };
        };
        if (event.error !== undefined) throw new Error(event.error);
        onLine(event);
      }
    }
  } catch (error) {
    if (!isConnectionError(error)) throw error;
    throw new EngineUnavailable(
      `The engine dropped a stream: ${String((error as Error).message)}`,
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
  }
}

const pulls = new WeakMap<Engine, Map<string, Promise<void>>>();

/** Callers at the same time share one pull: the engine shares only what it has under way. */
function pullOnce(engine: Engine, reference: string): Promise<void> {
  const underWay = pulls.get(engine) ?? new Map<string, Promise<void>>();
  pulls.set(engine, underWay);
  const work =
    underWay.get(reference) ?? pull(engine, reference).finally(() => underWay.delete(reference));
  underWay.set(reference, work);
  return work;
}

async function pull(engine: Engine, reference: string): Promise<void> {
  const tagged = /[:@][^/]*$/.test(reference) ? reference : `${reference}:latest`; // without a tag the engine pulls all of them
  const deadline = performance.now() + PULL_TIMEOUT_MS;
  const stream = await call(
    'image pull',
    (abortSignal) => engine.docker.pull(tagged, { abortSignal }),
    { timeoutMs: PULL_TIMEOUT_MS },
  );
  await followProgress(stream, Math.max(1, deadline - performance.now()));
}

async function buildDockerfile(
  engine: Engine,
  dockerfile: string,
  labels: Record<string, string>,
  timeoutMs: number,
): Promise<string> {
  const context = toArchive([{ name: 'Dockerfile', content: dockerfile }]);
  const tag = `twinpatch/base:${createHash('sha256').update(dockerfile).digest('hex').slice(0, 32)}`;
  let output = '';
  try {
    const stream = await call(
      'image build',
      () => engine.docker.buildImage(context, { t: tag, rm: true, forcerm: true, labels }),
      { timeoutMs },
    );
    await followProgress(
      stream,
      timeoutMs,
      (line) => (output = (output + (line.stream ?? '')).slice(-SHOWN_OUTPUT_BYTES)),
    );
    return (await call('image inspect', () => engine.docker.getImage(tag).inspect())).Id;
  } catch (error) {
    if (error instanceof EngineUnavailable) throw error;
    const reason = String((error as Error).message).trim();
    if (isRegistryTrouble(reason)) {
      throw new EngineUnavailable(
        `An image that environment.dockerfile begins with can't be pulled now: ${reason}`,
        {
          cause: error,
        },
      );
    }
    throw new ImageError(
      'build-failed',
      `The Dockerfile of environment.dockerfile does not build: ${reason}\n${output}`,
      { cause: error },
    );
  }
}
