/** The pristine image's own repository, asked in a fresh container: what it ignores, and the difference that a commit makes. */

import { AGENT_UID, REPOSITORY_PATH } from '../domain/ids.ts';
import type { ChangedFile, ExtractedPatch } from '../domain/ports.ts';
import { toText } from './changes.ts';
import { RESULT_REF } from './commit-stream.ts';
import type { Engine } from './engine.ts';
import { createCollector, execute } from './exec.ts';

export interface Verifier {
  /** Of paths (bytes as latin1): those that the pristine ignore rules match; and every path of the pristine commit. */
  look(paths: string[]): Promise<{ ignored: Set<string>; tracked: Set<string> }>;
  /** The patch from the pristine commit to the one in a fast-import stream. */
  diff(commitStream: Buffer, maxBytes: number): Promise<ExtractedPatch>;
}

const ENVIRONMENT = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'HOME=/nonexistent',
  'LC_ALL=C',
  'GIT_CONFIG_NOSYSTEM=1',
  'GIT_CONFIG_GLOBAL=/dev/null',
  'GIT_ATTR_NOSYSTEM=1',
  'GIT_TERMINAL_PROMPT=0',
  'GIT_NO_REPLACE_OBJECTS=1',
  'GIT_OPTIONAL_LOCKS=0',
];

/**
 * stdout: ignored paths; stderr: the commit's paths; both ended by NULs. git refuses the whole question when one path lies
 * behind a link, as it does where the agent put a folder in a link's place: those paths match no rule and are left out.
 */
const LOOK = String.raw`
cat >/tmp/paths
check() { git -c core.excludesFile=/dev/null check-ignore -z --stdin 2>/dev/null; (( $? < 2 )); }
if ! check </tmp/paths >/tmp/ignored; then
  while IFS= read -r -d '' path; do
    folder=$path
    while [[ $folder == */* ]]; do folder=${'$'}{folder%/*}; [[ -L $folder ]] && continue 2; done
    printf '%s\0' "$path"
  done </tmp/paths >/tmp/plain
  check </tmp/plain >/tmp/ignored || exit 1
fi
cat /tmp/ignored
git ls-tree -r -z --name-only HEAD >&2 || exit 1
printf 'done' >&2
`;

/** Arguments of both differences: git's own algorithm with nothing that a repository or user could have set. */
const DIFF = `git -c core.quotePath=true -c diff.algorithm=myers diff-tree -r --no-ext-diff --no-textconv --no-renames --no-color`;

/** stdin: a fast-import stream, then compared. stdout: the patch; stderr: its files. \`$1\` names files to treat as binary. */
const COMPARE = String.raw`
if (( $# > 0 )); then printf '%s -diff\n' "$@" >>.git/info/attributes
else git fast-import --quiet --done --force >/dev/null 2>&1 || exit 1; fi
${DIFF} --binary --full-index --unified=3 --src-prefix=a/ --dst-prefix=b/ HEAD ${RESULT_REF} || exit 1
${DIFF} -z --raw --abbrev=40 --numstat HEAD ${RESULT_REF} >&2 || exit 1
printf 'done' >&2
`;

/** The verifier in a running container of the pristine image; `capPassed` makes the error for an answer that is too large. */
export function createVerifier(
  engine: Engine,
  container: string,
  deadline: number,
  capPassed: (reason: string) => Error,
): Verifier {
  async function run(script: string, args: string[], stdin: Buffer, maxBytes: number) {
    const stdout = createCollector(maxBytes, () =>
      capPassed(`a patch of more than ${maxBytes} bytes`),
    );
    const stderr = createCollector(1024 ** 3 / 4, () =>
      capPassed('a tree with more than 256 MiB of names'),
    );
    const code = await execute(engine, container, {
      command: ['bash', '--noprofile', '--norc', '-c', script, 'verifier', ...args],
      user: `${AGENT_UID}:${AGENT_UID}`,
      env: ENVIRONMENT,
      workingDirectory: REPOSITORY_PATH,
      stdin,
      timeoutMs: Math.max(1, deadline - Date.now()),
      onOutput: (stream, piece) => (stream === 'stdout' ? stdout : stderr).add(piece),
    });
    const facts = stderr.bytes().toString('latin1');
    if (code !== 0 || !facts.endsWith('done'))
      throw new Error(`git failed in the verifier (code ${code}): ${facts.slice(-500)}`);
    return { stdout: stdout.bytes(), facts: facts.slice(0, -'done'.length) };
  }

  return {
    async look(paths) {
      const stdin = Buffer.from(paths.map((path) => `${path}\0`).join(''), 'latin1');
      const { stdout, facts } = await run(LOOK, [], stdin, stdin.length + 1);
      return { ignored: new Set(split(stdout.toString('latin1'))), tracked: new Set(split(facts)) };
    },

    async diff(commitStream, maxBytes) {
      const maxPatchBytes = 2 * maxBytes + 1024 ** 2; // context, deletions, and base 85
      let { stdout, facts } = await run(COMPARE, [], commitStream, maxPatchBytes);
      if (stdout.length === 0) return { kind: 'empty' };
      const unreadable = unreadableFiles(stdout, facts);
      if (unreadable.length > 0) {
        // A patch is text; lines in another encoding would be changed by becoming it, so those files travel as binary.
        ({ stdout, facts } = await run(
          COMPARE,
          unreadable.map(toAttributePattern),
          Buffer.alloc(0),
          maxPatchBytes,
        ));
      }
      return { kind: 'patch', text: stdout.toString('utf8'), facts: parseFacts(facts) };
    },
  };
}

/** Files of `diff-tree -z --raw --numstat`. */
export function parseFacts(output: string): ChangedFile[] {
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

// --- internal ---

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
