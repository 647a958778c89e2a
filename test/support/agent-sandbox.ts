/** A sandbox that is a temporary folder and bash: `/testbed` stands for the folder in commands, paths and output. */

import { execFileSync, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { REPOSITORY_PATH } from '../../domain/ids.ts';
import {
  type CommandRequest,
  type CommandResult,
  type Entry,
  FileWriteRefused,
  type Sandbox,
} from '../../domain/ports.ts';

export interface AgentSandbox extends Sandbox {
  /** Ids of the commands that really ran, in order. */
  readonly ran: string[];
  /** Paths written, in order. */
  readonly written: string[];
  /** Bytes of a file of the repository; its path is relative. */
  bytes(path: string): Promise<Buffer>;
}

/** Prints all that was changed since the start. */
export const PATCH_COMMAND: CommandRequest = {
  id: 'patch',
  command: 'git add --all && git diff --cached',
  shell: { cwd: REPOSITORY_PATH, env: {} },
  timeoutMs: 60_000,
  maxOutputBytes: 1_000_000,
};

/** A repository of one commit with these files. */
export async function createAgentSandbox(
  files: Record<string, string | Uint8Array> = {},
): Promise<AgentSandbox> {
  const root = await mkdtemp(join(tmpdir(), 'agent-sandbox-'));
  const toHost = (text: string) => text.replaceAll(REPOSITORY_PATH, root);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
  const identity = ['-c', 'user.name=a', '-c', 'user.email=a@example.com'];
  execFileSync('git', ['init', '--quiet', root]);
  execFileSync('git', ['-C', root, 'add', '--all']);
  execFileSync('git', ['-C', root, ...identity, 'commit', '-qm', 'start', '--allow-empty']);

  const answers = new Map<string, CommandResult>();
  const ran: string[] = [];
  const written: string[] = [];
  return {
    ref: { engine: 'none', container: root, imageId: 'none' },
    ran,
    written,
    bytes: (path) => readFile(join(root, path)),
    async run(request, signal) {
      const known = answers.get(request.id);
      if (known !== undefined) return known;
      ran.push(request.id);
      const result = await runBash(request, toHost, root, signal);
      answers.set(request.id, result);
      return result;
    },
    async readFile(path, maxBytes) {
      const found = await stat(toHost(path)).catch(() => undefined);
      if (found === undefined) return { kind: 'missing' };
      if (found.isDirectory()) return { kind: 'directory' };
      if (!found.isFile()) return { kind: 'refused', reason: 'it is no regular file' };
      const bytes = await readFile(toHost(path));
      return {
        kind: 'file',
        bytes: bytes.subarray(0, maxBytes),
        size: bytes.length,
        truncated: bytes.length > maxBytes,
      };
    },
    async writeFile(path, bytes) {
      written.push(path);
      try {
        await mkdir(dirname(toHost(path)), { recursive: true });
        await writeFile(toHost(path), bytes);
      } catch (error) {
        throw new FileWriteRefused((error as NodeJS.ErrnoException).code ?? '', { cause: error });
      }
    },
    async list(path, depth) {
      const entries: Entry[] = [];
      const walk = async (folder: string, level: number) => {
        for (const name of (await readdir(join(toHost(path), folder))).sort()) {
          if (name.startsWith('.')) continue;
          const found = await stat(join(toHost(path), folder, name));
          const kind = found.isDirectory() ? 'directory' : 'file';
          entries.push({ path: join(folder, name), kind, size: found.size });
          if (kind === 'directory' && level < depth) await walk(join(folder, name), level + 1);
        }
      };
      await walk('', 1);
      return entries;
    },
    async stop() {},
    close: () => rm(root, { recursive: true, force: true }),
  };
}

function runBash(
  request: CommandRequest,
  toHost: (text: string) => string,
  root: string,
  signal: AbortSignal | undefined,
): Promise<CommandResult> {
  const startedAt = performance.now();
  const child = spawn(
    'bash',
    ['-c', 'cd "$1" || exit; eval "$2"; code=$?; pwd >&3; exit $code', 'bash'].concat(
      toHost(request.shell.cwd),
      toHost(request.command),
    ),
    { detached: true, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] },
  );
  const collect = (index: 1 | 2 | 3) => {
    const pieces: Buffer[] = [];
    child.stdio[index]?.on('data', (piece: Buffer) => pieces.push(piece));
    return () => Buffer.concat(pieces).toString().replaceAll(root, REPOSITORY_PATH);
  };
  const [stdout, stderr, cwd] = [collect(1), collect(2), collect(3)];
  return new Promise((resolve, reject) => {
    let timedOut = false;
    const kill = () => process.kill(-(child.pid ?? 0), 'SIGKILL');
    const timer = setTimeout(() => {
      timedOut = true;
      kill();
    }, request.timeoutMs);
    const onAbort = () => {
      kill();
      reject(new Error('the engine was asked to stop'));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    child.on('close', (exitCode) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      const output = stdout() + stderr();
      resolve({
        end: timedOut ? 'timed-out' : 'exited',
        exitCode,
        output,
        outputBytes: Buffer.byteLength(output),
        omittedBytes: 0,
        background: false,
        shell: { ...request.shell, cwd: cwd().trim() || request.shell.cwd },
        durationMs: performance.now() - startedAt,
      });
    });
  });
}
