/** A prepared image of a small tree on a real engine, and the limits that tests use. */

import type { Readable } from 'node:stream';

import { DEFAULT_IMAGE } from '../../domain/config.ts';
import type { SandboxLimits } from '../../domain/ports.ts';
import { toArchive } from '../../sandbox/archive.ts';
import type { Engine } from '../../sandbox/engine.ts';
import { createImages } from '../../sandbox/image.ts';

export const LIMITS: SandboxLimits = {
  memoryBytes: 512 * 1024 ** 2,
  cpus: 1,
  maxProcesses: 96,
  maxFileBytes: 256 * 1024 ** 2,
  maxDiskBytes: 4 * 1024 ** 3,
  maxDiskFiles: 1_000_000,
};

export interface TreeFile {
  content?: string | Buffer;
  mode?: number;
  link?: string;
}

export type Tree = Record<string, string | Buffer | TreeFile>;

/** A tar of a tree, as a snapshot is. */
export function toTar(tree: Tree): Readable {
  return toArchive(
    Object.entries(tree).map(([name, value]) => {
      const {
        link,
        mode = 0o644,
        content,
      }: TreeFile = typeof value === 'string' || Buffer.isBuffer(value)
        ? { content: value }
        : value;
      return link === undefined ? { name, mode, content: content ?? '' } : { name, linkname: link };
    }),
  );
}

/** A name that no other run of the tests has. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${process.pid}-${Date.now().toString(36)}`;
}

/** Prepares an image of a tree and returns its id. */
export async function prepareTree(
  engine: Engine,
  installation: string,
  tree: Tree,
  options: { setup?: string[]; key?: string; base?: string } = {},
): Promise<string> {
  const { imageId } = await createImages(engine, { installation }).prepare(
    {
      key: options.key ?? installation,
      base: { image: options.base ?? DEFAULT_IMAGE },
      snapshot: async () => toTar(tree),
      setup: options.setup ?? [],
      limits: LIMITS,
      setupTimeoutMs: 60_000,
    },
    new AbortController().signal,
  );
  return imageId;
}
