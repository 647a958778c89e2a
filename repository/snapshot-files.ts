/** Files of stored snapshots by their path; small snapshots stay in memory, because every sample of a commit asks for its own. */

import tar from 'tar-stream';
import type { SnapshotFiles } from '../domain/ports.ts';
import type { Ref } from '../domain/sample.ts';

/** All snapshots that are kept, together. */
const KEPT_BYTES = 64 * 1024 ** 2;

type Files = Map<string, Buffer>;

/** Reads what `writeSnapshot` wrote; `open` gives a snapshot's bytes. */
export function createSnapshotFiles(
  open: (snapshot: Ref) => Promise<NodeJS.ReadableStream>,
  keptBytes = KEPT_BYTES,
): SnapshotFiles {
  /** Used last comes last; null: too large to be kept. */
  const kept = new Map<Ref, Promise<Files | null>>();
  const sizes = new Map<Ref, number>();

  async function load(snapshot: Ref): Promise<Files | null> {
    const files: Files = new Map();
    let size = 0;
    for await (const { path, bytes } of entriesOf(await open(snapshot))) {
      size += bytes.length;
      if (size > keptBytes) return null;
      files.set(path, bytes);
    }
    sizes.set(snapshot, size);
    return files;
  }

  async function find(snapshot: Ref, paths: ReadonlySet<string>): Promise<Files> {
    const files: Files = new Map();
    for await (const { path, bytes } of entriesOf(await open(snapshot), paths)) {
      files.set(path, bytes);
      if (files.size === paths.size) break;
    }
    return files;
  }

  function keep(snapshot: Ref): Promise<Files | null> {
    const loading = kept.get(snapshot) ?? load(snapshot);
    kept.delete(snapshot);
    kept.set(snapshot, loading);
    loading.catch(() => kept.delete(snapshot));
    return loading;
  }

  function forget(latest: Ref): void {
    let total = 0;
    for (const snapshot of [...kept.keys()].toReversed()) {
      total += sizes.get(snapshot) ?? 0;
      if (total <= keptBytes || snapshot === latest) continue;
      kept.delete(snapshot);
      sizes.delete(snapshot);
    }
  }

  return {
    async read(snapshot, paths) {
      const wanted = new Set(paths);
      if (wanted.size === 0) return new Map();
      const all = await keep(snapshot);
      forget(snapshot);
      if (all === null) return find(snapshot, wanted);
      return new Map(
        [...wanted].flatMap((path) => {
          const bytes = all.get(path);
          return bytes === undefined ? [] : [[path, bytes] as const];
        }),
      );
    },
  };
}

// --- internal ---

async function* entriesOf(
  archive: NodeJS.ReadableStream,
  wanted?: ReadonlySet<string>,
): AsyncGenerator<{ path: string; bytes: Buffer }> {
  const entries = archive.pipe(tar.extract());
  archive.on('error', (error) => entries.destroy(error as Error));
  try {
    for await (const entry of entries) {
      const { name, type, linkname } = entry.header;
      const isWanted = wanted === undefined || wanted.has(name);
      if (type === 'symlink' && isWanted) {
        yield { path: name, bytes: Buffer.from(linkname ?? '') };
      }
      if (type !== 'file' || !isWanted) {
        entry.resume();
        continue;
      }
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      yield { path: name, bytes: Buffer.concat(chunks) };
    }
  } finally {
    (archive as NodeJS.ReadableStream & { destroy?(): void }).destroy?.();
  }
}
