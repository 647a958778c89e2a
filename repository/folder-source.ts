/** A folder without git as a source: the hash of its tree stands for a commit. */

import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdtemp, open, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { git } from './git.ts';
import { decodePath, pathExcess } from './paths.ts';
import { RepositoryError } from './repository-error.ts';
import {
  MAX_FILE_BYTES,
  MAX_FILES,
  MAX_TOTAL_BYTES,
  type LeftOut,
  type Source,
  type SourceFile,
} from './source-file.ts';

/** Not part of a package: what is git's, what is ours, and what is installed inside of it. */
const SKIPPED = new Set(['.git', '.twinpatch', 'node_modules']);
/** Beside the sources where a batch is configured: it holds the user's own prompts. */
const CONFIG_FILE = 'twinpatch.yaml';
/** A folder with these is an export of ours, and would show one batch the answers of another. */
const EXPORT_MANIFEST = 'manifest.json';
const EXPORT_ROWS = /^t1(-\d{5}-of-\d{5})?(\.SIMULATED)?\.(jsonl|parquet)$/;

interface FolderSourceOptions {
  folder: string;
  label: string;
  signal?: AbortSignal | undefined;
}

/** The source over a folder; every name but the hash of its present tree and `HEAD` is unknown. */
export function createFolderSource({ folder, label, signal }: FolderSourceOptions): Source {
  return {
    kind: 'folder',
    label,
    async resolve(name) {
      const hash = new TreeHash();
      for await (const file of readFolder(folder, label, signal, () => {})) hash.add(file);
      const tree = hash.name();
      if (name === 'HEAD' || name === tree) return tree;
      throw new RepositoryError(
        'unknown-commit',
        `${JSON.stringify(name)} names nothing: ${label} has no git, its only commit is HEAD (${tree}). Leave \`commits\` out, or give a git repository.`,
      );
    },
    async *files(commit, onLeftOut = () => {}) {
      const hash = new TreeHash();
      for await (const file of readFolder(folder, label, signal, onLeftOut)) {
        hash.add(file);
        yield file;
      }
      if (hash.name() !== commit) {
        throw new RepositoryError(
          'changed',
          `${label} is no longer what ${commit} names: its files changed. Stop what writes to it and start again; a git repository has lasting commits.`,
        );
      }
    },
  };
}

// --- internal ---

class TreeHash {
  readonly #hash = createHash('sha256');

  add({ path, mode, bytes }: SourceFile): void {
    const content = createHash('sha256').update(bytes).digest('hex');
    this.#hash.update(`${mode} ${content} ${JSON.stringify(path)}\n`);
  }

  name(): string {
    return `tree:${this.#hash.copy().digest('hex')}`;
  }
}

/** Regular files and symbolic links below a folder, sorted by the bytes of their paths. */
async function* readFolder(
  folder: string,
  label: string,
  signal: AbortSignal | undefined,
  onLeftOut: (leftOut: LeftOut) => void,
): AsyncGenerator<SourceFile> {
  const slash = Buffer.from('/');
  const root = Buffer.concat([Buffer.from(folder), slash]);
  const pending: { raw: Buffer; isFolder: boolean }[] = [{ raw: Buffer.alloc(0), isFolder: true }];
  const ignored = await ignoredPaths(folder, signal);
  let files = 0;
  let total = 0;
  for (let next; (next = pending.pop()) !== undefined;) {
    signal?.throwIfAborted();
    const place = Buffer.concat([root, next.raw]);
    if (next.isFolder) {
      const entries = await readdir(place, { withFileTypes: true, encoding: 'buffer' });
      const names = entries.map((entry) => entry.name.toString());
      if (names.includes(EXPORT_MANIFEST) && names.some((name) => EXPORT_ROWS.test(name))) continue;
      const children = entries
        .filter((entry) => !SKIPPED.has(entry.name.toString()))
        // A folder sorts as its files do, with the slash that follows its name.
        .map((entry) => ({
          raw: Buffer.concat([next.raw, entry.name, entry.isDirectory() ? slash : Buffer.alloc(0)]),
          isFolder: entry.isDirectory(),
        }))
        .filter(({ raw }) => !ignored.has(raw.toString('latin1')));
      pending.push(...children.sort((a, b) => Buffer.compare(b.raw, a.raw)));
      continue;
    }
    const path = decodePath(next.raw);
    const read = pathExcess(next.raw) ?? (await readEntry(place));
    if (read === undefined) continue;
    if (typeof read === 'string') {
      onLeftOut({ path, reason: read });
      continue;
    }
    files += 1;
    total += read.bytes.length;
    if (files > MAX_FILES || total > MAX_TOTAL_BYTES) {
      throw new RepositoryError(
        'too-large',
        `${label} has more than ${MAX_FILES} files or ${MAX_TOTAL_BYTES / 1024 ** 3} GiB; a sandbox can't hold it. Give a smaller folder.`,
      );
    }
    yield { path, ...read };
  }
}

/**
 * What the folder's own ignore rules leave out, as one character per byte: build results, environments and secrets, which no
 * commit would hold either. Whole folders end with a slash.
 */
async function ignoredPaths(folder: string, signal: AbortSignal | undefined): Promise<Set<string>> {
  const gitDirectory = await mkdtemp(join(tmpdir(), 'twinpatch-ignored-'));
  try {
    const options = { gitDirectory, signal };
    await git(['init', '--quiet', '--bare', '--template=', gitDirectory], options);
    const asked = ['ls-files', '--others', '--ignored', '--exclude-standard', '--directory', '-z'];
    const listed = await git([`--work-tree=${folder}`, ...asked], options);
    return new Set([CONFIG_FILE, ...listed.toString('latin1').split('\0')]);
  } finally {
    await rm(gitDirectory, { recursive: true, force: true });
  }
}

/** A file or link; why it is left out; undefined for pipes, sockets and devices. */
async function readEntry(place: Buffer): Promise<Omit<SourceFile, 'path'> | string | undefined> {
  const kind = await lstat(place);
  if (kind.isSymbolicLink()) {
    return { mode: '120000', bytes: await readlink(place, { encoding: 'buffer' }) };
  }
  if (!kind.isFile()) return undefined;
  if (kind.size > MAX_FILE_BYTES) return 'it is larger than 64 MiB';
  // Between lstat and open the entry may become a link or a pipe: neither is followed or waited for.
  const handle = await open(
    place,
    constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
  );
  try {
    const mode = (kind.mode & 0o100) === 0 ? '100644' : '100755';
    return { mode, bytes: await handle.readFile() };
  } finally {
    await handle.close();
  }
}
