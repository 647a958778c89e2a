import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

// A plain `su` leaves root without the folders of dockerd, iptables and debootstrap.
const searchPath = [process.env['PATH'] ?? '', '/usr/sbin', '/sbin'].join(delimiter);

/** The environment for programs: ours, with the administrator's folders on PATH. */
export const programEnvironment = { ...process.env, PATH: searchPath };

/**
 * The full path of a program, or undefined where it is not installed.
 * @param {string} name
 * @returns {string | undefined}
 */
export function findProgram(name) {
  return searchPath
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, name))
    .find(isProgram);
}

/**
 * Whether a path is a file that may be executed.
 * @param {string} path
 * @returns {boolean}
 */
export function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * Runs a program to its end and gives its stdout; rejects with an excerpt of what it said.
 * @param {string} program
 * @param {string[]} args
 * @param {{ timeoutMs: number, env?: Record<string, string>, cwd?: string }} options
 * @returns {Promise<string>}
 */
export function run(program, args, { timeoutMs, env, cwd }) {
  return new Promise((resolve, reject) => {
    const options = {
      timeout: timeoutMs,
      maxBuffer: 64 * 1024 * 1024,
      env: { ...programEnvironment, ...env },
      cwd,
    };
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      const end = error.killed ? `no end after ${timeoutMs / 1000} s` : `exit ${error.code}`;
      const said = excerpt(`${stdout.trim()}\n${stderr.trim()}`.trim());
      reject(new Error(`${[program, ...args].join(' ')}: ${end}\n${said}`, { cause: error }));
    });
    child.stdin?.end();
  });
}

/**
 * @param {string} text
 * @param {number} count
 * @returns {string}
 */
export function lastLines(text, count) {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

/**
 * The beginning and the end: some programs say first what went wrong, others last.
 * @param {string} text
 * @returns {string}
 */
function excerpt(text) {
  const lines = text.trimEnd().split('\n');
  return lines.length <= 16
    ? lines.join('\n')
    : [...lines.slice(0, 8), '…', ...lines.slice(-7)].join('\n');
}
