/** What a source gives: the files of one commit, whatever the source is. */

/** `100755` is executable, `120000` a symbolic link whose bytes are its target. */
export type FileMode = '100644' | '100755' | '120000';

export interface SourceFile {
  /** Relative, with `/`; bytes that are no UTF-8 stand as lone surrogates (paths.ts). */
  path: string;
  mode: FileMode;
  bytes: Buffer;
}

/** A file that is in the commit and not in the snapshot, and why. */
export interface LeftOut {
  path: string;
  reason: string;
}

export interface Source {
  readonly kind: 'git' | 'folder';
  /** For people: the path or the URL, without credentials. */
  readonly label: string;
  /**
   * The commit's hash, or `tree:<hex>` for a folder without git.
   * Throws RepositoryError: unknown-commit.
   */
  resolve(name: string): Promise<string>;
  /**
   * The files of a resolved commit, sorted by the bytes of their paths; submodules, which are
   * said, and special files are not among them. Throws RepositoryError: unsafe, incomplete, too-large, changed.
   */
  files(commit: string, onLeftOut?: (leftOut: LeftOut) => void): AsyncIterable<SourceFile>;
}

/** A larger file is left out, and said. */
export const MAX_FILE_BYTES = 64 * 1024 ** 2;
/** More than this is no repository that fits a sandbox. */
export const MAX_FILES = 500_000;
export const MAX_TOTAL_BYTES = 16 * 1024 ** 3;
