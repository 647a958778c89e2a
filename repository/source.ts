/** Opens what a user names as `repository.source`: a local folder, with or without git, or a git URL. */

import { mkdir, realpath, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createFolderSource } from './folder-source.ts';
import { redactCredentials } from './git.ts';
import { borrowRepository, findLocalRepository, mirrorRepository } from './git-directory.ts';
import { createGitSource } from './git-source.ts';
import { RepositoryError } from './repository-error.ts';
import type { Source } from './source-file.ts';

export interface OpenOptions {
  /** Folder for our own git directories; made when missing. */
  cacheDir: string;
  signal?: AbortSignal;
}

/**
 * The source behind a path or URL (https, http, ssh, git, file, `user@host:path`). Nothing of the
 * repository is executed. Throws RepositoryError: not-a-repository, unreachable, auth, unsafe, set-up.
 */
export async function openSource(
  source: string,
  { cacheDir, signal }: OpenOptions,
): Promise<Source> {
  const address = parseAddress(source);
  if (address.kind === 'url') {
    await mkdir(cacheDir, { recursive: true });
    const gitDirectory = await mirrorRepository(address.url, cacheDir, signal);
    return createGitSource({ gitDirectory, label: redactCredentials(address.url), signal });
  }
  const kind = await stat(address.path).catch(() => undefined);
  if (kind?.isDirectory() !== true) {
    throw new RepositoryError(
      'not-a-repository',
      `${source} is ${kind === undefined ? 'not there' : 'no folder'}. Give a folder, or a git URL (https://…, ssh://…, user@host:path).`,
    );
  }
  const folder = await realpath(address.path);
  const repository = await findLocalRepository(folder);
  if (repository === undefined) return createFolderSource({ folder, label: source, signal });
  await mkdir(cacheDir, { recursive: true });
  const gitDirectory = await borrowRepository(repository, cacheDir);
  return createGitSource({ gitDirectory, label: source, signal });
}

// --- internal ---

type Address = { kind: 'url'; url: string } | { kind: 'path'; path: string };

const URL_SCHEMES = new Set(['https', 'http', 'ssh', 'git', 'git+ssh', 'ssh+git']);

function parseAddress(source: string): Address {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(source)?.[1]?.toLowerCase();
  if (scheme === 'file') return { kind: 'path', path: fileURLToPath(source) };
  if (scheme !== undefined && URL_SCHEMES.has(scheme)) return { kind: 'url', url: source };
  if (scheme !== undefined || /^[a-z0-9]+::/i.test(source)) {
    throw new RepositoryError(
      'unsafe',
      `${redactCredentials(source)} is refused: only https, http, ssh, git and file addresses are fetched. Clone it yourself and give the folder.`,
    );
  }
  // git's short form, host:path; a path that begins with a slash or a dot is never one.
  if (/^(?:[\w.-]+@)?[\w.-]+:(?!\/\/)[^\s]+$/.test(source) && !/^[./-]/.test(source)) {
    return { kind: 'url', url: source };
  }
  return { kind: 'path', path: source };
}
