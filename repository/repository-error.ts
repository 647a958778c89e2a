/** What can be wrong with a source, told to the person who named it. */

export type RepositoryErrorKind =
  /** The path does not exist, or is nothing that can be read as a source. */
  | 'not-a-repository'
  | 'unknown-commit'
  /** The URL does not answer, or nothing is there. */
  | 'unreachable'
  | 'auth'
  /** A tree or an URL that no innocent repository has. */
  | 'unsafe'
  /** Objects are missing or damaged. */
  | 'incomplete'
  | 'too-large'
  /** A folder without git changed while it was read. */
  | 'changed'
  /** git or a grammar is missing on this machine. */
  | 'set-up'
  | 'no-targets';

/** The message says what happened, why, and what to do next; credentials are left out of it. */
export class RepositoryError extends Error {
  override readonly name = 'RepositoryError';
  readonly kind: RepositoryErrorKind;
  constructor(kind: RepositoryErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
