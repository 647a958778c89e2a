/**
 * A Sandbox without an engine: a temporary folder stands for /testbed, and commands really run, by the local bash. It promises
 * what agent tests need (the same suite as Docker's says what) and isolates nothing: only for commands that a test wrote.
 */

import { spawn } from 'node:child_process';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { REPOSITORY_PATH } from '../../domain/ids.ts';
import {
  type CommandRequest,
  type CommandResult,
  type Entry,
  FileWriteRefused,
  type FileRead,
  type Sandbox,
  SandboxLost,
} from '../../domain/ports.ts';
import { joinOutput, outputShares } from '../../sandbox/command.ts';
import { parseShell, renderShell } from '../../sandbox/shell.ts';

/**
 * Leaves what parseShell reads in the file STATE: with builtins alone, because the command may have lost its PATH, and with those
 * that it may have covered or turned off.
 */
const LEAVE = String.raw`unset -f builtin enable; enable builtin cd declare exit printf set trap; builtin trap - DEBUG; { builtin printf "%s\0" "${'$'}{PWD-}"; builtin declare -px; builtin printf end; } >| STATE; `;
/** What a command that traces, echoes or traps would say of ours. */
const UNHEARD = '>/dev/null 2>&1';
/** Runs SETUP and COMMAND, and leaves the state at the end, at an `exit`, or in the EXIT trap. */
const SCRIPT = [
  `trap '{ [[ -v __twinpatch_code ]] || { ${LEAVE}}; } ${UNHEARD}' EXIT;`,
  `exit() { { __twinpatch_code=\${1-$?}; [[ $BASHPID != $$ ]] || { ${LEAVE}}; builtin set +vx; } ${UNHEARD}; builtin exit "$__twinpatch_code"; };`,
  'unset -v BASH_EXECUTION_STRING; . SETUP; eval -- "$(<COMMAND)";',
  `{ __twinpatch_code=$?; ${LEAVE}builtin set +v; builtin exit "$__twinpatch_code"; } ${UNHEARD}`,
].join(' ');
/** Of more than this, only the folder is kept. */
const MAX_STATE_BYTES = 256 * 1024;

/** A fresh fake whose repository holds `files` (paths relative to /testbed). */
export async function createFakeSandbox(files: Record<string, string> = {}): Promise<Sandbox> {
  const root = await mkdtemp(join(tmpdir(), 'twinpatch-fake-'));
  const repository = join(root, 'repository');
  await mkdir(repository);
  await mkdir(join(root, 'home'));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(repository, path)), { recursive: true });
    await writeFile(join(repository, path), content);
  }
  let state: 'running' | 'stopped' | 'removed' = 'running';
  let running: AbortController = new AbortController();
  const answers = new Map<string, Promise<CommandResult>>();

  const toReal = (text: string) => text.replaceAll(REPOSITORY_PATH, repository);
  const toShown = (text: string) => text.replaceAll(repository, REPOSITORY_PATH);
  const mapEnv = (env: Record<string, string | null>, map: (text: string) => string) =>
    Object.fromEntries(
      Object.entries(env).map(([name, value]) => [name, value === null ? null : map(value)]),
    );
  const alive = () => {
    if (state !== 'running') throw new SandboxLost(`the fake sandbox is ${state}`);
  };
  const isInside = (path: string) =>
    path === REPOSITORY_PATH || path.startsWith(`${REPOSITORY_PATH}/`);
  const environment: Record<string, string> = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: join(root, 'home'),
    LANG: 'C.UTF-8',
    TERM: 'dumb',
  };

  async function run(request: CommandRequest): Promise<CommandResult> {
    const folder = await mkdtemp(join(root, 'run-'));
    const shell = { cwd: toReal(request.shell.cwd), env: mapEnv(request.shell.env, toReal) };
    await writeFile(
      join(folder, 'setup'),
      renderShell(shell).replaceAll(REPOSITORY_PATH, repository),
    );
    await writeFile(join(folder, 'command'), toReal(request.command.replaceAll('\0', '')));
    await writeFile(join(folder, 'state'), '');
    // A file, not a pipe: a process left behind holds nothing up.
    const output = await open(join(folder, 'output'), 'a');
    const started = performance.now();
    const script = SCRIPT.replaceAll('STATE', `${folder}/state`)
      .replace('SETUP', `${folder}/setup`)
      .replace('COMMAND', `${folder}/command`);
    const child = spawn('bash', ['--noprofile', '--norc', '-c', script, 'bash'], {
      cwd: root,
      env: environment,
      detached: true,
      stdio: ['ignore', output.fd, output.fd],
    });
    const killTree = () => {
      try {
        process.kill(-(child.pid ?? 0), 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    };
    running.signal.addEventListener('abort', killTree);
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      killTree();
    }, request.timeoutMs);
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(code ?? 128 + (SIGNALS[signal ?? ''] ?? 9)));
    });
    clearTimeout(timer);
    running.signal.removeEventListener('abort', killTree);
    await output.close();
    const durationMs = performance.now() - started;
    const written = Buffer.from(
      toShown((await readFile(join(folder, 'output'))).toString('latin1')),
      'latin1',
    );
    const { head, tail } = outputShares(request.maxOutputBytes);
    const kept =
      written.length <= request.maxOutputBytes
        ? written
        : Buffer.concat([written.subarray(0, head), written.subarray(written.length - tail)]);
    const left = parseShell(clipState(await readFile(join(folder, 'state'))), environment, shell);
    const joined = joinOutput(kept, written.length, request.maxOutputBytes);
    return {
      end: timedOut ? 'timed-out' : 'exited',
      exitCode: timedOut ? null : exitCode,
      output: joined?.output ?? '',
      omittedBytes: joined?.omittedBytes ?? 0,
      outputBytes: written.length,
      background: false,
      shell: { cwd: toShown(left.cwd), env: mapEnv(left.env, toShown) },
      durationMs,
    };
  }

  return {
    ref: { engine: 'fake', container: root, imageId: 'fake' },
    async run(request, signal) {
      alive();
      signal?.throwIfAborted();
      const answer = answers.get(request.id) ?? run(request);
      answers.set(request.id, answer);
      return answer;
    },
    async readFile(path, maxBytes): Promise<FileRead> {
      alive();
      if (!isInside(path)) return { kind: 'missing' };
      const found = await stat(toReal(path)).catch(() => undefined);
      if (!found) return { kind: 'missing' };
      if (found.isDirectory()) return { kind: 'directory' };
      if (!found.isFile()) return { kind: 'refused', reason: 'not a regular file' };
      const bytes = await readFile(toReal(path));
      return {
        kind: 'file',
        bytes: new Uint8Array(bytes.subarray(0, maxBytes)),
        size: bytes.length,
        truncated: bytes.length > maxBytes,
      };
    },
    async writeFile(path, bytes) {
      alive();
      if (!isInside(path)) throw new FileWriteRefused(`${path}: Permission denied`);
      try {
        const mode = (await stat(toReal(path)).catch(() => undefined))?.mode;
        await mkdir(dirname(toReal(path)), { recursive: true });
        await writeFile(toReal(path), bytes);
        if (mode !== undefined) await chmod(toReal(path), mode);
      } catch (error) {
        const code = String((error as { code?: unknown }).code);
        throw new FileWriteRefused(`${path}: ${REASONS[code] ?? code}`, { cause: error });
      }
    },
    async list(path, depth) {
      alive();
      if (!isInside(path)) return undefined;
      const entries: Entry[] = [];
      const walk = async (folder: string, prefix: string, left: number): Promise<void> => {
        for (const name of await readdir(folder)) {
          if (name.startsWith('.')) continue;
          const found = await lstat(join(folder, name));
          const kind = found.isDirectory()
            ? 'directory'
            : found.isSymbolicLink()
              ? 'symlink'
              : found.isFile()
                ? 'file'
                : 'other';
          entries.push({ path: prefix + name, kind, size: found.size });
          if (kind === 'directory' && left > 1)
            await walk(join(folder, name), `${prefix}${name}/`, left - 1);
        }
      };
      if (!(await stat(toReal(path)).catch(() => undefined))?.isDirectory()) return undefined;
      await walk(toReal(path), '', depth);
      return entries.sort((a, b) => (a.path < b.path ? -1 : 1));
    },
    async stop() {
      if (state === 'removed') throw new SandboxLost('the fake sandbox is removed');
      state = 'stopped';
      running.abort();
      running = new AbortController();
    },
    async close() {
      state = 'removed';
      running.abort();
      await rm(root, { recursive: true, force: true });
    },
  };
}

// --- internal ---

const SIGNALS: Record<string, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
};
const REASONS: Record<string, string> = {
  EISDIR: 'Is a directory',
  ENOTDIR: 'Not a directory',
  EEXIST: 'Not a directory',
  EACCES: 'Permission denied',
};

function clipState(state: Buffer): Buffer {
  if (state.length <= MAX_STATE_BYTES) return state;
  return Buffer.concat([state.subarray(0, state.indexOf(0) + 1), Buffer.from('more')]);
}
