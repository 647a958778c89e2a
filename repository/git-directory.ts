/**
 * Git directories of our own, in the cache folder. A local repository lends its objects and nothing
 * else: git never opens the repository itself, so none of its configuration, hooks, include paths,
 * partial-clone remotes or ownership questions come into play. A URL is mirrored.
 */

import { createHash } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { classifyFetch, git, GitFailed, redactCredentials } from './git.ts';
import { RepositoryError } from './repository-error.ts';

const MAX_REF_FILE_BYTES = 256 * 1024 ** 2;
const HASH = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
/** What both git and a packed-refs file take as a name; anything else in a refs folder is passed over. */
const REF_NAME =
  /^refs\/(?!.*(?:\.\.|\/\.|\/\/|\.lock$|@\{))[^\0-\x20~^:?*[\\\x7f]+[^/.\0-\x20~^:?*[\\\x7f]$/;

/** Folders that make up a repository on disk; they differ in a worktree. */
interface LocalRepository {
  /** HEAD is here. */
  head: string;
  /** Objects and branches are here. */
  common: string;
}

/**
 * The repository whose work tree or bare folder `folder` is, or undefined when it is none. A `.git`
 * file of a worktree or submodule is followed.
 */
export async function findLocalRepository(folder: string): Promise<LocalRepository | undefined> {
  const dotGit = path.join(folder, '.git');
  const kind = await lstat(dotGit).catch(() => undefined);
  let head = folder;
  if (kind?.isFile()) {
    const target = /^gitdir: (.+?)\s*$/.exec(await readSmall(dotGit, 'utf8'))?.[1];
    if (target === undefined) return undefined;
    head = path.resolve(folder, target);
  } else if (kind !== undefined) {
    head = dotGit;
  }
  const commonFile = await readSmall(path.join(head, 'commondir'), 'utf8').catch(() => '.');
  const common = path.resolve(head, commonFile.trim());
  const isThere = async (file: string) => (await lstat(file).catch(() => undefined)) !== undefined;
  if (!(await isThere(path.join(head, 'HEAD')))) return undefined;
  return (await isThere(path.join(common, 'objects'))) ? { head, common } : undefined;
}

/**
 * A bare git directory with the branches and tags of a local repository, reading its objects where
 * they are. Returns its path. Throws RepositoryError: not-a-repository.
 */
export async function borrowRepository(
  { head, common }: LocalRepository,
  cacheDir: string,
): Promise<string> {
  const objects = await realpath(path.join(common, 'objects'));
  if ((await lstat(path.join(common, 'reftable')).catch(() => undefined)) !== undefined) {
    throw new RepositoryError(
      'not-a-repository',
      `${common} keeps its branches in the reftable format, which is not read yet. ` +
        'Run `git refs migrate --ref-format=files` there, or give the URL of its remote.',
    );
  }
  const headText = (await readSmall(path.join(head, 'HEAD'), 'latin1')).trim();
  const refs = await readRefs(common);
  const headHash = HASH.test(headText) ? headText : refs.get(headText.replace(/^ref: */, ''));
  const shallow = await readSmall(path.join(common, 'shallow'), 'latin1').catch(() => '');
  const isSha256 = [...refs.values(), headHash ?? ''].some((hash) => hash.length === 64);

  const directory = path.join(cacheDir, `local-${shortHash(`${head}\n${objects}`)}.git`);
  await mkdir(path.join(directory, 'refs'), { recursive: true });
  await mkdir(path.join(directory, 'objects', 'info'), { recursive: true });
  const put = (name: string, text: string) => replaceFile(path.join(directory, name), text);
  await put('config', isSha256 ? CONFIG_SHA256 : CONFIG);
  await put('objects/info/alternates', `${quoteAlternate(objects)}\n`);
  await put('shallow', hashLines(shallow));
  await put('packed-refs', toPackedRefs(refs));
  // HEAD last: with it, the directory is one that git takes.
  await put('HEAD', headHash === undefined ? 'ref: refs/heads/unborn\n' : `${headHash}\n`);
  return directory;
}

/**
 * A bare mirror of the branches, tags and HEAD behind a URL, brought up to date. Returns its path.
 * Throws RepositoryError: unreachable, auth.
 */
export async function mirrorRepository(
  url: string,
  cacheDir: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const directory = path.join(cacheDir, `remote-${shortHash(url)}.git`);
  await mkdir(directory, { recursive: true });
  const options = { gitDirectory: directory, signal };
  await git(['init', '--quiet', '--bare', '--template=', directory], options);
  try {
    const flags = ['--quiet', '--prune', '--force', '--no-tags', '--no-write-fetch-head'];
    await git(
      ['fetch', ...flags, '--no-recurse-submodules', '--end-of-options', url, ...MIRRORED_REFS],
      { ...options, withUserConfig: true },
    );
    const head = await git(['rev-parse', '--verify', 'refs/twinpatch/HEAD'], options);
    await git(['update-ref', '--no-deref', 'HEAD', head.toString().trim()], options);
  } catch (error) {
    if (!(error instanceof GitFailed)) throw error;
    const kind = classifyFetch(error.stderr);
    const next =
      kind === 'auth'
        ? 'Give git access without a prompt (an ssh key in the agent, or a credential helper), or clone it yourself and give the folder'
        : 'Check the address and the network, or clone it yourself and give the folder';
    throw new RepositoryError(
      kind,
      `${redactCredentials(url)} could not be fetched: ${lastLines(error.stderr)}. ${next}.`,
      { cause: error },
    );
  }
  return directory;
}

// --- internal ---

const MIRRORED_REFS = [
  '+HEAD:refs/twinpatch/HEAD',
  '+refs/heads/*:refs/heads/*',
  '+refs/tags/*:refs/tags/*',
];
const CONFIG = '[core]\n\trepositoryformatversion = 0\n\tbare = true\n';
const CONFIG_SHA256 =
  '[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = sha256\n';

/** Every branch, tag and remote branch with its hash; loose ones win over packed ones, as in git. */
async function readRefs(common: string): Promise<Map<string, string>> {
  const refs = new Map<string, string>();
  const packed = await readSmall(path.join(common, 'packed-refs'), 'utf8').catch(() => '');
  for (const line of packed.split('\n')) {
    const [hash = '', name = ''] = line.split(' ');
    if (HASH.test(hash) && REF_NAME.test(name)) refs.set(name, hash);
  }
  const symbolic: [string, string][] = [];
  for (const root of ['heads', 'tags', 'remotes']) {
    const folder = path.join(common, 'refs', root);
    const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const file = path.join(entry.parentPath, entry.name);
      const name = path.relative(common, file);
      if (!entry.isFile() || !REF_NAME.test(name)) continue;
      const text = (await readSmall(file, 'utf8').catch(() => '')).trim();
      if (HASH.test(text)) refs.set(name, text);
      else if (text.startsWith('ref: ')) symbolic.push([name, text.slice(5)]);
    }
  }
  for (const [name, target] of symbolic) {
    const hash = refs.get(target);
    if (hash !== undefined) refs.set(name, hash);
  }
  return refs;
}

function toPackedRefs(refs: Map<string, string>): string {
  const lines = [...refs].map(([name, hash]) => ({ bytes: Buffer.from(name), hash }));
  lines.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  const body = lines.map(({ bytes, hash }) => `${hash} ${bytes.toString()}\n`).join('');
  return `# pack-refs with: sorted \n${body}`;
}

function hashLines(text: string): string {
  const hashes = text.split('\n').filter((line) => HASH.test(line));
  return hashes.map((hash) => `${hash}\n`).join('');
}

/** A line of an alternates file; one that starts with a quote is read as a C string. */
function quoteAlternate(folder: string): string {
  if (!/["\\\n]/.test(folder)) return folder;
  return `"${folder.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;
}

/** Reads a regular file of bounded size: a pipe or a device in a hostile folder must not hold us up. */
async function readSmall(file: string, encoding: 'utf8' | 'latin1'): Promise<string> {
  const kind = await lstat(file);
  if (!kind.isFile() || kind.size > MAX_REF_FILE_BYTES) throw new Error(`${file} is no plain file`);
  return readFile(file, encoding);
}

/** Another process may be reading the file we replace. */
async function replaceFile(file: string, text: string): Promise<void> {
  if (text === '') return rm(file, { force: true });
  const temporary = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  await writeFile(temporary, text);
  await rename(temporary, file);
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** The end of what git said, without what it says after every failure of ssh. */
function lastLines(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const telling = lines.filter((line) => !COMMONPLACE.test(line));
  return (telling.length > 0 ? telling : lines).slice(-3).join(' ').replace(/\.$/, '');
}

const COMMONPLACE =
  /^(fatal: Could not read from remote repository|Please make sure you have the correct access rights|and the repository exists)/;
