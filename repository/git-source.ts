/** A git repository as a source: names to commits, commits to files, straight from the objects. */

import { closest, distance } from 'fastest-levenshtein';
import { Readable } from 'node:stream';
import { git, GitFailed, startGit, toGitError } from './git.ts';
import { ByteReader } from './byte-reader.ts';
import { decodePath, pathDanger, pathExcess } from './paths.ts';
import { RepositoryError } from './repository-error.ts';
import {
  MAX_FILE_BYTES,
  MAX_FILES,
  MAX_TOTAL_BYTES,
  type FileMode,
  type LeftOut,
  type Source,
  type SourceFile,
} from './source-file.ts';

interface GitSourceOptions {
  /** One of our own (git-directory.ts). */
  gitDirectory: string;
  label: string;
  signal?: AbortSignal | undefined;
}

/** The source over a git directory of ours. */
export function createGitSource(options: GitSourceOptions): Source {
  return {
    kind: 'git',
    label: options.label,
    resolve: (name) => resolveCommit(name, options),
    files: (commit, onLeftOut) => readFiles(commit, options, onLeftOut),
  };
}

// --- internal ---

interface TreeEntry {
  path: string;
  mode: FileMode;
  object: string;
}

async function resolveCommit(name: string, options: GitSourceOptions): Promise<string> {
  const wanted = `${name}^{commit}`;
  // eslint-disable-next-line no-control-regex
  if (name !== '' && !/[\0-\x1f]/.test(name)) {
    try {
      const args = ['rev-parse', '--verify', '--quiet', '--end-of-options', wanted];
      return (await git(args, options)).toString().trim();
    } catch (error) {
      if (!(error instanceof GitFailed)) throw error;
    }
  }
  throw new RepositoryError('unknown-commit', await explainUnknown(name, options));
}

async function explainUnknown(name: string, options: GitSourceOptions): Promise<string> {
  const format = '--format=%(refname:lstrip=2)';
  const listed = await git(['for-each-ref', format, 'refs/heads', 'refs/tags'], options);
  const names = listed.toString().split('\n').filter(Boolean);
  const said = `${JSON.stringify(name)} names no commit of ${options.label}`;
  if (name === 'HEAD' && names.length === 0) return `${said}: it has no commit yet. Commit first.`;
  const near = names.length > 0 ? closest(name, names) : undefined;
  if (near !== undefined && distance(name, near) <= Math.max(2, name.length / 3)) {
    return `${said}. Did you mean ${JSON.stringify(near)}?`;
  }
  const isShallow = (await git(['rev-parse', '--is-shallow-repository'], options)).toString();
  return isShallow.startsWith('true')
    ? `${said}, which is a shallow clone. Run \`git fetch --unshallow\` there, or name a commit that it has.`
    : `${said}. Give a branch, a tag or a hash; \`git log --oneline --all\` lists them.`;
}

async function* readFiles(
  commit: string,
  options: GitSourceOptions,
  onLeftOut: (leftOut: LeftOut) => void = () => {},
): AsyncGenerator<SourceFile> {
  const entries = await listTree(commit, options, onLeftOut);
  if (entries.length === 0) return;
  const batch = startGit(['cat-file', '--batch', '--buffer'], options, { buffer: false });
  // Its end is looked at below; a consumer that stops early ends it too.
  const ended = batch.then(
    () => undefined,
    (error: unknown) => toGitError(error, options.signal),
  );
  const requests = Readable.from(requestLines(entries));
  requests.pipe(batch.stdin).on('error', () => requests.destroy());
  const output = new ByteReader(batch.stdout);
  try {
    let total = 0;
    for (const { path, mode } of entries) {
      const header = await output.line();
      const size = Number(/ blob (\d+)$/.exec(header ?? '')?.[1]);
      if (Number.isNaN(size)) {
        const failure = header === undefined ? await ended : undefined;
        if (options.signal?.aborted) throw options.signal.reason;
        throw missingObject(path, options.label, failure);
      }
      if (size > MAX_FILE_BYTES) {
        await output.skip(size + 1);
        onLeftOut({ path, reason: 'it is larger than 64 MiB' });
        continue;
      }
      total += size;
      if (total > MAX_TOTAL_BYTES) throw tooLarge(options.label);
      const bytes = await output.exactly(size);
      await output.skip(1);
      yield { path, mode, bytes };
    }
    const failure = await ended;
    if (failure !== undefined) throw failure;
  } finally {
    // What is not read would keep the stream, and with it the process, from ending.
    batch.stdout.destroy();
    batch.kill('SIGKILL');
    await ended;
  }
}

/** Objects to ask for, many to a write. */
function* requestLines(entries: readonly TreeEntry[]): Generator<string> {
  for (let from = 0; from < entries.length; from += REQUESTS_PER_WRITE) {
    const some = entries.slice(from, from + REQUESTS_PER_WRITE);
    yield some.map(({ object }) => `${object}\n`).join('');
  }
}

const REQUESTS_PER_WRITE = 1000;
const SUBMODULE = 'it is a submodule; its own repository can be a source';

/** Files of a commit, checked: a tree made by hand may hold names that no checkout would create. */
async function listTree(
  commit: string,
  options: GitSourceOptions,
  onLeftOut: (leftOut: LeftOut) => void,
): Promise<TreeEntry[]> {
  const args = ['ls-tree', '-r', '-z', '--full-tree', '--end-of-options', commit];
  const listing = startGit(args, options, { buffer: false });
  const ended = listing.then(
    () => undefined,
    (error: unknown) => toGitError(error, options.signal),
  );
  const reader = new ByteReader(listing.stdout);
  const entries: TreeEntry[] = [];
  const guard = new TreeGuard(options.label);
  try {
    for (let record; (record = await reader.until(0)) !== undefined;) {
      const tab = record.indexOf(0x09);
      const [mode = '', type, object = ''] = record.toString('latin1', 0, tab).split(' ');
      const raw = record.subarray(tab + 1);
      const path = decodePath(raw);
      guard.add(path);
      const reason = type === 'commit' ? SUBMODULE : pathExcess(raw);
      if (reason !== undefined) onLeftOut({ path, reason });
      else entries.push({ path, mode: toMode(mode), object });
    }
    const failure = await ended;
    if (failure !== undefined) {
      if (!(failure instanceof GitFailed)) throw failure;
      throw missingObject(commit, options.label, failure);
    }
  } finally {
    // What is not read would keep the stream, and with it the process, from ending.
    listing.stdout.destroy();
    listing.kill('SIGKILL');
    await ended;
  }
  return entries;
}

/** Refuses trees that no checkout makes: doubled names, a file that is a folder too, bombs. */
class TreeGuard {
  readonly #label: string;
  readonly #files = new Set<string>();
  readonly #folders = new Set<string>();
  constructor(label: string) {
    this.#label = label;
  }

  add(path: string): void {
    const danger = pathDanger(path);
    if (danger !== undefined) this.#refuse(path, danger);
    if (this.#files.has(path)) this.#refuse(path, 'is there twice');
    if (this.#folders.has(path)) this.#refuse(path, 'is a file and a folder');
    this.#files.add(path);
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const folder = path.slice(0, at);
      if (this.#files.has(folder)) this.#refuse(folder, 'is a file and a folder');
      if (this.#folders.has(folder)) break;
      this.#folders.add(folder);
    }
    if (this.#files.size > MAX_FILES) throw tooLarge(this.#label);
  }

  #refuse(path: string, why: string): never {
    throw new RepositoryError(
      'unsafe',
      `The tree of ${this.#label} is unsafe to unpack: ${JSON.stringify(path)} ${why}. Run \`git fsck\` there; name a commit without it.`,
    );
  }
}

function toMode(mode: string): FileMode {
  if (mode === '120000') return '120000';
  // Very old commits have 100664 and the like.
  return (Number.parseInt(mode, 8) & 0o100) === 0 ? '100644' : '100755';
}

function tooLarge(label: string): RepositoryError {
  return new RepositoryError(
    'too-large',
    `${label} has more than ${MAX_FILES} files or ${MAX_TOTAL_BYTES / 1024 ** 3} GiB at this commit; a sandbox can't hold it. Name a smaller commit or repository.`,
  );
}

function missingObject(what: string, label: string, cause: unknown): RepositoryError {
  const detail = cause instanceof GitFailed ? ` (${cause.stderr})` : '';
  return new RepositoryError(
    'incomplete',
    `${label} lacks the content of ${JSON.stringify(what)}${detail}: it is a partial clone, or damaged. ` +
      'Run `git fetch --refetch --no-filter` there, or give the URL of its remote.',
  );
}
