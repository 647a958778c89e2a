/**
 * The git binary, told to run nothing but itself: no hooks, no file monitor, no filters, no transport
 * helpers, no prompts, and no configuration but ours. It only ever works in a git directory that we
 * made (git-directory.ts), so a repository's own configuration is never read.
 */

import { execa, ExecaError, type ResultPromise } from 'execa';
import { RepositoryError, type RepositoryErrorKind } from './repository-error.ts';

export interface GitOptions {
  gitDirectory: string;
  signal?: AbortSignal | undefined;
  /**
   * Take the user's own configuration of git too: credential helpers, proxies, certificates.
   * Only for URLs: it is the user's, never the repository's.
   */
  withUserConfig?: boolean;
}

const SETTINGS = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.pager=cat',
  'core.askPass=',
  'core.quotePath=false',
  'protocol.ext.allow=never',
  'submodule.recurse=false',
  'fetch.recurseSubmodules=false',
  'transfer.bundleURI=false',
  'transfer.fsckObjects=false',
  'uploadpack.packObjectsHook=',
  'gc.auto=0',
  'maintenance.auto=false',
  'http.lowSpeedLimit=1',
  'http.lowSpeedTime=60',
].flatMap((setting) => ['-c', setting]);

/**
 * Output of one git command as bytes. Throws GitFailed when it ends badly, RepositoryError of kind
 * `set-up` without git, and the signal's reason when it aborts.
 */
export async function git(args: string[], options: GitOptions): Promise<Buffer> {
  try {
    const { stdout } = await startGit(args, options, { buffer: true });
    return Buffer.from(stdout);
  } catch (error) {
    throw toGitError(error, options.signal);
  }
}

/** A running git command whose output is read as a stream; end it by awaiting it. */
export function startGit(
  args: string[],
  { gitDirectory, signal, withUserConfig = false }: GitOptions,
  { buffer }: { buffer: boolean },
): ResultPromise<{ encoding: 'buffer' }> {
  return execa('git', [...SETTINGS, `--git-dir=${gitDirectory}`, ...args], {
    cwd: gitDirectory,
    env: gitEnvironment(withUserConfig),
    extendEnv: false,
    encoding: 'buffer',
    buffer: { stdout: buffer, stderr: true },
    maxBuffer: 1024 ** 3,
    stripFinalNewline: false,
    ...(signal && { cancelSignal: signal }),
  });
}

/** A git command ended badly; `stderr` is what git said, without credentials. */
export class GitFailed extends Error {
  override readonly name = 'GitFailed';
  readonly stderr: string;
  constructor(stderr: string, options?: ErrorOptions) {
    super(stderr, options);
    this.stderr = stderr;
  }
}

/** What execa threw as what callers handle; an abort is the signal's reason. */
export function toGitError(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  if (!(error instanceof ExecaError)) return error;
  if (error.code === 'ENOENT') {
    return new RepositoryError(
      'set-up',
      'git was not found on this machine. Install git 2.30 or newer and try again.',
    );
  }
  const output: unknown = error.stderr;
  const stderr = output instanceof Uint8Array ? Buffer.from(output).toString() : '';
  // No cause: execa's message holds the whole command line, credentials included.
  return new GitFailed(redactCredentials(stderr).trim() || `git ended with ${error.exitCode}`);
}

/** A text in which no URL shows its user and password; a lone ssh user is no secret. */
export function redactCredentials(text: string): string {
  return text.replace(
    /([a-z][a-z0-9+.-]*:\/\/)([^/\s'"]+)@/gi,
    (whole, scheme: string, user: string) =>
      /^ssh|^git\+ssh/i.test(scheme) && !user.includes(':') ? whole : `${scheme}***@`,
  );
}

/** Why a fetch failed, from what git said: it gives no other sign. */
export function classifyFetch(stderr: string): RepositoryErrorKind {
  return /authentication failed|could not read (username|password)|permission denied|access denied|terminal prompts disabled|error: 40[13]|host key verification/i.test(
    stderr,
  )
    ? 'auth'
    : 'unreachable';
}

// --- internal ---

/** Variables that git, ssh and proxies need from ours; everything that could redirect git stays out. */
function gitEnvironment(withUserConfig: boolean): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'));
  return {
    ...Object.fromEntries(kept),
    ...(!withUserConfig && { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' }),
    GIT_ALLOW_PROTOCOL: 'https:http:ssh:git',
    GIT_PROTOCOL_FROM_USER: '0',
    GIT_NO_LAZY_FETCH: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    // Set and empty: git asks no program, not even the one of SSH_ASKPASS.
    GIT_ASKPASS: '',
    SSH_ASKPASS_REQUIRE: 'never',
    GIT_SSH_COMMAND: 'ssh -oBatchMode=yes -oConnectTimeout=20',
    LC_ALL: 'C',
  };
}
