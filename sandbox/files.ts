/** Files of a sandbox, read and written by programs that run as the agent: whatever it may not do, they may not either. */

import { AGENT_UID } from '../domain/ids.ts';
import { type Entry, FileWriteRefused, type FileRead, SandboxLost } from '../domain/ports.ts';
import type { Engine } from './engine.ts';
import { createCollector, execute } from './exec.ts';

const TIMEOUT_MS = 60_000;
/** A listing is for reading; a folder with more is cut, in the order of `find`. */
const MAX_LISTING_BYTES = 4 * 1024 ** 2;

/**
 * stderr: what `stat` says, then a NUL; stdout: the start of a regular file. The time limit is for a file that was swapped for
 * a pipe after the look at it.
 */
const READ = String.raw`
exec 8>&2 2>/dev/null
export LC_ALL=C
stat -L -c '%f %s' -- "$1" 2>&1 >&8 | head -c 1000 >&8
[[ -f $1 && -r $1 ]] && timeout 10 head -c "$2" -- "$1"
[[ -r $1 ]] && printf '\0readable' >&8 || printf '\0closed' >&8
`;

/** Written beside the file and then put in its place, so that a file is never half a file. stderr: the reason it can't be, then a NUL. */
const WRITE = String.raw`
export LC_ALL=C
umask 022
refuse() { printf '%s\0refused' "$1" >&2; exit; }
target=$(readlink -m -- "$1"; printf x) && target=${'$'}{target%?x}
[[ -d $target ]] && refuse 'Is a directory'
[[ -e $target && ! -f $target ]] && refuse 'Not a regular file'
[[ -e $target && ! -w $target ]] && refuse 'Permission denied'
folder=${'$'}{target%/*}/
reason=$(mkdir -p -- "$folder" 2>&1) || refuse "${'$'}{reason##*: }"
temporary=$(mktemp -- "$folder.twinpatch-XXXXXXXX" 2>&1) || refuse "${'$'}{temporary##*: }"
trap 'rm -f -- "$temporary"' EXIT
reason=$(cat 2>&1 >"$temporary") || refuse "${'$'}{reason##*: }"
[[ $(stat -c %s -- "$temporary") == "$2" ]] || exit 1
if [[ -e $target ]]; then chmod --reference="$target" -- "$temporary"; else chmod 644 -- "$temporary"; fi
reason=$(mv -fT -- "$temporary" "$target" 2>&1) || refuse "${'$'}{reason##*: }"
printf '\0written' >&2
`;

const LIST = String.raw`
export LC_ALL=C
if [[ -d $1 && -x $1 ]]; then
  find -H "$1/" -mindepth 1 -maxdepth "$2" -name '.*' -prune -o -mindepth 1 -printf '%y %s %P\0' 2>/dev/null | head -c ${MAX_LISTING_BYTES}
  printf 'folder' >&2
else
  printf 'none' >&2
fi
`;

/** Reads at most `maxBytes` of a regular file. Throws SandboxLost and EngineUnavailable, as all of this file. */
export async function readFileIn(
  engine: Engine,
  container: string,
  path: string,
  maxBytes: number,
): Promise<FileRead> {
  if (!isPath(path)) return { kind: 'refused', reason: 'the path is not an absolute path' };
  const { stdout, stderr } = await runAsAgent(
    engine,
    container,
    READ,
    [path, String(maxBytes)],
    maxBytes,
  );
  const match = /^([^\0]*)\0(readable|closed)$/s.exec(stderr);
  if (match === null) throw lost(container, 'read a file');
  const [, looked = '', access] = match;
  const status = /^([0-9a-f]+) (\d+)\n$/.exec(looked);
  if (status === null) {
    return /No such file|Not a directory/.test(looked)
      ? { kind: 'missing' }
      : { kind: 'refused', reason: looked.trim().split(': ').at(-1) ?? 'it can not be looked at' };
  }
  const type = Number.parseInt(status[1] ?? '', 16) & 0o170000;
  if (type === 0o040000) return { kind: 'directory' };
  if (type !== 0o100000) return { kind: 'refused', reason: 'not a regular file' };
  if (access === 'closed') return { kind: 'refused', reason: 'permission denied' };
  const size = Math.max(Number(status[2]), stdout.length);
  return { kind: 'file', bytes: new Uint8Array(stdout), size, truncated: size > stdout.length };
}

/** Puts bytes into a file, following links. Throws FileWriteRefused with the system's own reason. */
export async function writeFileIn(
  engine: Engine,
  container: string,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  if (!isPath(path)) throw new FileWriteRefused(`${JSON.stringify(path)} is not an absolute path`);
  const { stderr } = await runAsAgent(
    engine,
    container,
    WRITE,
    [path, String(bytes.length)],
    1024,
    bytes,
  );
  if (stderr.endsWith('\0written')) return;
  const match = /([^\0]*)\0refused$/.exec(stderr);
  if (match === null) throw lost(container, 'write a file');
  throw new FileWriteRefused(`${path}: ${match[1]?.trim() || 'it can not be written'}`);
}

/** Entries below a folder, or undefined when there is no such folder. */
export async function listIn(
  engine: Engine,
  container: string,
  path: string,
  depth: number,
): Promise<Entry[] | undefined> {
  if (!isPath(path)) return undefined;
  const { stdout, stderr } = await runAsAgent(
    engine,
    container,
    LIST,
    [path, String(depth)],
    MAX_LISTING_BYTES,
  );
  if (stderr === 'none') return undefined;
  if (stderr !== 'folder') throw lost(container, 'list a folder');
  const kinds: Record<string, Entry['kind']> = { f: 'file', d: 'directory', l: 'symlink' };
  return stdout
    .toString('utf8')
    .split('\0')
    .slice(0, -1)
    .flatMap((line): Entry[] => {
      const [, type = '', size = '', name] = /^(.) (\d+) (.*)$/s.exec(line) ?? [];
      return name === undefined
        ? []
        : [{ path: name, kind: kinds[type] ?? 'other', size: Number(size) }];
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

// --- internal ---

function isPath(path: string): boolean {
  return path.startsWith('/') && !path.includes('\0') && Buffer.byteLength(path) <= 4096;
}

async function runAsAgent(
  engine: Engine,
  container: string,
  script: string,
  args: string[],
  maxBytes: number,
  stdin?: Uint8Array,
): Promise<{ stdout: Buffer; stderr: string }> {
  const stdout = createCollector(maxBytes + 1024, () =>
    lost(container, 'keep to the size asked for'),
  );
  const stderr = createCollector(64 * 1024, () => lost(container, 'keep to the size asked for'));
  await execute(engine, container, {
    command: ['bash', '--noprofile', '--norc', '-c', script, 'files', ...args],
    user: `${AGENT_UID}:${AGENT_UID}`,
    workingDirectory: '/',
    timeoutMs: TIMEOUT_MS,
    onOutput: (stream, piece) => (stream === 'stdout' ? stdout : stderr).add(piece),
    ...(stdin === undefined ? {} : { stdin }),
  });
  return { stdout: stdout.bytes(), stderr: stderr.bytes().toString('utf8') };
}

function lost(container: string, task: string): SandboxLost {
  return new SandboxLost(`Sandbox ${container.slice(0, 12)} can no longer ${task}.`);
}
