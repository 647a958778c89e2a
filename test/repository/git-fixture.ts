/** Real git repositories in temporary folders. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Source, SourceFile } from '../../repository/source-file.ts';

const IDENTITY = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.org',
};

/** Plain git, as a user runs it; returns what it prints. */
export function runGit(folder: string, args: string[], input?: string | Buffer): string {
  return execFileSync('git', ['-c', 'protocol.file.allow=always', ...args], {
    cwd: folder,
    env: { ...process.env, ...IDENTITY },
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(input !== undefined && { input }),
  })
    .toString()
    .trim();
}

/** A folder that is removed with the return value's `remove`. */
export function temporaryFolder(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'twinpatch-repository-'));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export function writeFiles(folder: string, files: Record<string, string | Buffer>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), content);
  }
}

/** A repository with one commit on `main`; returns the commit's hash. */
export function makeRepository(folder: string, files: Record<string, string | Buffer>): string {
  mkdirSync(folder, { recursive: true });
  runGit(folder, ['init', '--quiet', '--initial-branch=main']);
  writeFiles(folder, files);
  runGit(folder, ['add', '--all']);
  runGit(folder, ['commit', '--quiet', '--allow-empty', '--message=first']);
  return runGit(folder, ['rev-parse', 'HEAD']);
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** `path` → text of the files at a name of a commit. */
export async function readTree(source: Source, name = 'HEAD'): Promise<Record<string, string>> {
  const files = await collect(source.files(await source.resolve(name)));
  return Object.fromEntries(files.map(({ path: file, bytes }) => [file, bytes.toString()]));
}

export function sourceFile(file: string, content: string | Buffer, mode = '100644'): SourceFile {
  return { path: file, mode: mode as SourceFile['mode'], bytes: Buffer.from(content) };
}

/** Files as `Source.files` gives them. */
export async function* asFiles(files: SourceFile[]): AsyncGenerator<SourceFile> {
  await Promise.resolve();
  yield* files;
}
