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
 * The state that a shell left (`cwd NUL (NAME=value NUL)* end NUL`), as a difference to `environment`; `previous` where the shell left none, because it was killed,
 * replaced itself (`exec`), or ended in a trap of its own.
 */
export function parseShell(
  bytes: Uint8Array,
  environment: Record<string, string>,
  previous: ShellState,
): ShellState {
  const [cwd, ...fields] = new TextDecoder().decode(bytes).split('\0');
  if (fields.at(-2) !== 'end' || !cwd?.startsWith('/') || cwd.includes('\uFFFD')) return previous;
  const found = new Map<string, string>();
  for (const field of fields.slice(0, -2)) {
    const at = field.indexOf('=');
    const name = field.slice(0, at);
    if (isVariableName(name) && !field.includes('\uFFFD')) found.set(name, field.slice(at + 1));
  }
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

function isVariableName(name: string): boolean {
  return (
    /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) &&
    !name.startsWith('__twinpatch_') &&
    !OWN_VARIABLES.has(name)
  );
}
