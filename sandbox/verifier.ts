/** The pristine image's own repository, asked in a container of its own: what it ignores, and the difference that a commit makes. */

import { REPOSITORY_PATH } from '../domain/ids.ts';
import { type ChangedFile, type ExtractedPatch, ImageError } from '../domain/ports.ts';
import { readResult, toRunFields } from './command.ts';
import { RESULT_REF } from './commit-stream.ts';
import { CapPassed } from './extract.ts';
import { readFileIn, writeFileIn } from './files.ts';
import type { GuestClient } from './guest-client.ts';
import { quote } from './shell.ts';
import { parseSizes, toTrackedTree, type TrackedTree } from './tracked.ts';
import { REQUEST } from './wire.ts';

export interface Verifier {
  /** All of the pristine commit. Paths are bytes as latin1 here. */
  tracked(): Promise<TrackedTree>;
  /** Of every tracked file, by path: that takes git three times as long. */
  sizes(): Promise<Map<string, number>>;
  /** Those of the paths that the pristine ignore rules match, whether tracked or not: asking for that takes git 30 times as long. */
  ignored(paths: string[], timeoutMs: number): Promise<Set<string>>;
  /** The patch from the pristine commit to the one in a fast-import stream. Throws CapPassed for one that is too large. */
  diff(commitStream: Buffer, maxBytes: number, timeoutMs: number): Promise<ExtractedPatch>;
}

/** All that a verifier's programs start with. */
export const VERIFIER_ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/nonexistent',
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_OPTIONAL_LOCKS: '0',
};

/** One part of a file that is read or written; a frame holds more. */
const PART_BYTES = 16 * 1024 ** 2;
const TRACKED_TIMEOUT_MS = 120_000;
const MAX_NAMES_BYTES = 256 * 1024 ** 2;

/**
 * Paths of `in.*` that are ignored, into `out`. git refuses the whole question when one path lies behind a link, as it does where
 * the agent put a folder in a link's place: those paths match no rule and are left out.
 */
const IGNORED = String.raw`
check() { git -c core.excludesFile=/dev/null check-ignore --no-index -z --stdin 2>/dev/null; (( $? < 2 )); }
cat "$work"/in.* >"$work/paths"
if ! check <"$work/paths" >"$work/out"; then
  while IFS= read -r -d '' path; do
    folder=$path
    while [[ $folder == */* ]]; do folder=${'$'}{folder%/*}; [[ -L $folder ]] && continue 2; done
    printf '%s\0' "$path"
  done <"$work/paths" >"$work/plain"
  check <"$work/plain" >"$work/out"
fi
`;

const TRACKED = 'git ls-tree -r -z --name-only HEAD >"$work/out"';
const SIZES = 'git ls-tree -r -l -z HEAD >"$work/out"';

/** Arguments of both differences: git's own algorithm with nothing that a repository or user could have set. */
const DIFF = `git -c core.quotePath=true -c diff.algorithm=myers diff-tree -r --no-ext-diff --no-textconv --no-renames --no-color`;

/**
 * The stream of `in.*` as a commit of a repository beside the image's own, compared: the patch into `out`, its files into
 * `facts`. Arguments name files to treat as binary.
 */
const COMPARE = String.raw`
set -e
head=$(git rev-parse HEAD)
mkdir -p "$work"/git/{objects/info,refs,info}
printf '%s\n' "$head" >"$work/git/HEAD"
printf '${REPOSITORY_PATH}/.git/objects\n' >"$work/git/objects/info/alternates"
cp .git/info/attributes "$work/git/info/attributes"
(( $# == 0 )) || printf '%s -diff\n' "$@" >>"$work/git/info/attributes"
export GIT_DIR="$work/git" GIT_WORK_TREE=${REPOSITORY_PATH}
cat "$work"/in.* | git fast-import --quiet --done --force >/dev/null 2>&1
${DIFF} --binary --full-index --unified=3 --src-prefix=a/ --dst-prefix=b/ HEAD ${RESULT_REF} >"$work/out"
${DIFF} -z --raw --abbrev=40 --numstat HEAD ${RESULT_REF} >"$work/facts"
`;

/** The verifier in a container of the pristine image. It may be asked several things at once: each has a folder of its own. */
export function createVerifier(guest: GuestClient): Verifier {
  let tasks = 0;
  let tracked: Promise<TrackedTree> | undefined;
  let sizes: Promise<Map<string, number>> | undefined;

  /** Runs a script over an input, and reads the files it leaves. */
  async function task<T>(
    script: string,
    args: string[],
    input: Buffer,
    timeoutMs: number,
    read: (file: (name: string, maxBytes: number, what: string) => Promise<Buffer>) => Promise<T>,
  ): Promise<T> {
    const work = `/tmp/task-${++tasks}`;
    for (let part = 0; part === 0 || part * PART_BYTES < input.length; part++) {
      await writeFileIn(
        guest,
        `${work}/in.${String(part).padStart(4, '0')}`,
        input.subarray(part * PART_BYTES, (part + 1) * PART_BYTES),
      );
    }
    try {
      await runScript(
        `work=${work}; set -- ${args.map(quote).join(' ')}\n${script}`,
        work,
        timeoutMs,
      );
      return await read((name, maxBytes, what) => readWhole(`${work}/${name}`, maxBytes, what));
    } finally {
      await runScript(`rm -rf ${work}`, `${work}-end`, timeoutMs).catch(() => {}); // it ends with its container
    }
  }

  const listTree = (script: string): Promise<string> =>
    task(script, [], Buffer.alloc(0), TRACKED_TIMEOUT_MS, async (file) =>
      (await file('out', MAX_NAMES_BYTES, 'a tree with names')).toString('latin1'),
    );

  async function runScript(command: string, id: string, timeoutMs: number): Promise<void> {
    const request = {
      id,
      command,
      shell: { cwd: REPOSITORY_PATH, env: {} },
      timeoutMs,
      maxOutputBytes: 4096,
    };
    const result = await guest.ask(
      REQUEST.run,
      toRunFields(request),
      (body) => readResult(body, request, VERIFIER_ENVIRONMENT),
      { timeoutMs: timeoutMs + 30_000 },
    );
    if (result.end === 'timed-out')
      throw new CapPassed('the changes could not be compared in time');
    if (result.exitCode !== 0)
      throw withoutGit(`${result.end} ${result.exitCode}: ${result.output}`);
  }

  async function readWhole(path: string, maxBytes: number, what: string): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for (let at = 0; ; at += PART_BYTES) {
      const part = await readFileIn(guest, path, PART_BYTES, at);
      if (part.kind !== 'file') throw withoutGit(`no ${path} (${part.kind})`);
      if (part.size > maxBytes) throw new CapPassed(`${what} of more than ${maxBytes} bytes`);
      parts.push(part.bytes);
      if (!part.truncated) return Buffer.concat(parts);
    }
  }

  return {
    tracked() {
      tracked ??= listTree(TRACKED).then((listing) => toTrackedTree(split(listing)));
      return tracked;
    },

    sizes() {
      sizes ??= listTree(SIZES).then(parseSizes);
      return sizes;
    },

    ignored(paths, timeoutMs) {
      if (paths.length === 0) return Promise.resolve(new Set());
      const input = Buffer.from(paths.map((path) => `${path}\0`).join(''), 'latin1');
      return task(
        IGNORED,
        [],
        input,
        timeoutMs,
        async (file) =>
          new Set(
            split(
              (await file('out', input.length + 1, 'a list of ignored files')).toString('latin1'),
            ),
          ),
      );
    },

    async diff(commitStream, maxBytes, timeoutMs) {
      const maxPatchBytes = 2 * maxBytes + 1024 ** 2; // context, deletions, and base 85
      const compare = (binary: string[]) =>
        task(COMPARE, binary, commitStream, timeoutMs, async (file) => ({
          patch: await file('out', maxPatchBytes, 'a patch'),
          facts: (await file('facts', MAX_NAMES_BYTES, 'a patch with names')).toString('latin1'),
        }));
      let { patch, facts } = await compare([]);
      if (patch.length === 0) return { kind: 'empty' };
      const unreadable = unreadableFiles(patch, facts);
      if (unreadable.length > 0) {
        // A patch is text; lines in another encoding would be changed by becoming it, so those files travel as binary.
        ({ patch, facts } = await compare(unreadable.map(toAttributePattern)));
      }
      return { kind: 'patch', text: patch.toString('utf8'), facts: parseFacts(facts) };
    },
  };
}

// --- internal ---

function withoutGit(what: string): ImageError {
  return new ImageError(
    'build-failed',
    `The git of the prepared image can't compare its tree (${what}). Pin a git that works in environment.setup, or name another image.`,
  );
}

/** The text that bytes (as latin1) spell in UTF-8; what is not UTF-8 becomes U+FFFD. */
function toText(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function split(text: string): string[] {
  return text.split('\0').slice(0, -1);
}

/** Paths whose part of a patch is not UTF-8, found by the order of its files, which both outputs share. */
function unreadableFiles(patch: Buffer, facts: string): string[] {
  const text = patch.toString('latin1');
  const paths = split(facts).flatMap((field, at, all) =>
    field.startsWith(':') ? [all[at + 1] ?? ''] : [],
  );
  const parts = text.split(/(?<=\n)(?=diff --git )/);
  const isUtf8 = (part: string) => {
    const bytes = Buffer.from(part, 'latin1');
    return Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes);
  };
  const bad = new Set(
    parts.filter((part) => !isUtf8(part)).map((part) => part.slice(0, part.indexOf('\n'))),
  );
  return bad.size === 0
    ? []
    : paths.filter((path) => [...bad].some((line) => line.endsWith(headerName(path))));
}

/** A path as `diff --git` shows it after its own `b/`. */
function headerName(path: string): string {
  const quoted = escapeBytes(path, {
    7: 'a',
    8: 'b',
    9: 't',
    10: 'n',
    11: 'v',
    12: 'f',
    13: 'r',
    34: '"',
    92: '\\',
  });
  return quoted === path ? ` b/${path}` : ` "b/${quoted}"`;
}

/** A path as a pattern of an attributes file that matches it alone. */
function toAttributePattern(path: string): string {
  return `"/${escapeBytes(path.replace(/[*?[\]\\]/g, '\\$&'), {})}"`;
}

/** Bytes that git quotes, by their letter or in octal. */
function escapeBytes(path: string, letters: Record<number, string>): string {
  return Array.from(path, (character) => {
    const code = character.charCodeAt(0);
    if (code >= 32 && code < 127 && code !== 34 && code !== 92) return character;
    return `\\${letters[code] ?? code.toString(8).padStart(3, '0')}`;
  }).join('');
}

/** Files of `diff-tree -z --raw --numstat`. */
function parseFacts(output: string): ChangedFile[] {
  const fields = split(output);
  const files = new Map<string, ChangedFile>();
  for (let at = 0; at < fields.length; at++) {
    const field = fields[at] ?? '';
    const raw = /^:(\d{6}) (\d{6}) (\w+) (\w+) ([A-Z])/.exec(field);
    if (raw) {
      const path = fields[++at] ?? '';
      const [, , , before, after, status] = raw;
      const change =
        status === 'A'
          ? 'added'
          : status === 'D'
            ? 'deleted'
            : before === after
              ? 'mode'
              : 'modified';
      files.set(path, { path: toText(path), change, binary: false });
      continue;
    }
    const [added, , path = ''] = field.split('\t');
    const file = files.get(path);
    if (file && added === '-') file.binary = true;
  }
  return [...files.values()];
}
