/** What a command's shell starts with and leaves behind: working directory and exported variables, as bash text and back. */

import { REPOSITORY_PATH } from '../domain/ids.ts';
import type { ShellState } from '../domain/ports.ts';

/** Variables that bash sets for every shell itself; they never travel. */
const OWN_VARIABLES = new Set(['_', 'PWD', 'SHLVL', 'SHELLOPTS', 'BASHOPTS']);

/** The state of a fresh sandbox. */
export const INITIAL_SHELL: ShellState = { cwd: REPOSITORY_PATH, env: {} };

/** Bash text that brings a fresh shell into a state. A folder that is gone falls back to the repository, then to the root. */
export function renderShell(shell: ShellState): string {
  const variables = Object.entries(shell.env)
    .filter(([name]) => isVariableName(name))
    .map(([name, value]) =>
      value === null ? `unset -v ${name}` : `export ${name}=${quote(value)}`,
    );
  return `builtin cd -- ${quote(shell.cwd)} 2>/dev/null || builtin cd -- ${REPOSITORY_PATH} 2>/dev/null || builtin cd /
unset -v OLDPWD; export OLDPWD
${variables.join('\n')}
:
`;
}

/**
 * The state that a shell left (its folder, NUL, what `declare -px` says, `end`; or its folder, NUL, `more`), as a difference to `environment`; that of
 * `previous` where the shell left none, because it was killed, replaced itself (`exec`), or ended in a trap of its own, and its
 * variables where those are more than are kept.
 */
export function parseShell(
  bytes: Uint8Array,
  environment: Record<string, string>,
  previous: ShellState,
): ShellState {
  // One character per byte until the quotes are off: the shell may quote the bytes of one character apart.
  const [folder = '', declared, ...rest] = Buffer.from(bytes).toString('latin1').split('\0');
  const cwd = toText(folder);
  if (rest.length > 0 || declared === undefined || !cwd?.startsWith('/')) return previous;
  if (declared === 'more') return { ...previous, cwd };
  if (!/(^|\n)end$/.test(declared)) return previous;
  const found = readDeclared(declared);
  const env: Record<string, string | null> = {};
  for (const name of [...new Set([...found.keys(), ...Object.keys(environment)])].sort()) {
    const value = found.get(name);
    if (!isVariableName(name) || value === environment[name]) continue;
    env[name] = value ?? null;
  }
  return { cwd, env };
}

/** A text as one word of bash. */
export function quote(text: string): string {
  return `'${text.replaceAll('\0', '').replaceAll("'", `'\\''`)}'`;
}

// --- internal ---

/** Of bash: `declare -x NAME="value"` or `NAME=$'value'`, and `declare -x NAME` for one without a value; arrays have no place in an environment. */
const DECLARED =
  /^declare -[^ aA]+ (\w+)=(?:"([^"\\]*(?:\\[^][^"\\]*)*)"|\$'([^'\\]*(?:\\[^][^'\\]*)*)')$/gm;
const ESCAPED = /\\(?:([0-7]{3})|([^]))/g;
const NAMED_ESCAPES: Record<string, string> = {
  a: '\x07',
  b: '\b',
  E: '\x1b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

function readDeclared(declared: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [, name = '', quoted, ansi] of declared.matchAll(DECLARED)) {
    const raw = ansi === undefined ? quoted?.replace(/\\([$`"\\])/g, '$1') : toPlain(ansi);
    const value = toText(raw ?? '');
    if (isVariableName(name) && value !== undefined) found.set(name, value);
  }
  return found;
}

/** Takes off ANSI-C quoting, of which bash writes octal numbers and these names. */
function toPlain(quoted: string): string {
  return quoted.replace(ESCAPED, (_, octal?: string, character = '') =>
    octal === undefined
      ? (NAMED_ESCAPES[character] ?? character)
      : String.fromCharCode(parseInt(octal, 8)),
  );
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of bytes, given as one character each; undefined where they are not UTF-8. */
function toText(bytes: string): string | undefined {
  try {
    return UTF8.decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return undefined;
  }
}

function isVariableName(name: string): boolean {
  return (
    /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) &&
    !name.startsWith('__twinpatch_') &&
    !OWN_VARIABLES.has(name)
  );
}
