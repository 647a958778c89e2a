import { existsSync, readdirSync, readFileSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exclusively } from './cache.mjs';
import { run } from './command.mjs';
import { SetupError, messageOf } from './setup-error.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const lockFile = join(root, 'package-lock.json');
const installedFile = join(root, 'node_modules', '.package-lock.json');
const builtFile = join(root, 'dist', '.built');

const SOURCE = /\.(ts|mjs)$|^(tsconfig.*|package)\.json$/;
const NO_SOURCE = /^(node_modules|dist|test|bench|docs|examples|\..*)$/;

/**
 * Whether this is a checkout: an installed package brings its dependencies and its build along.
 * @returns {boolean}
 */
export function isCheckout() {
  return existsSync(lockFile) && existsSync(join(root, 'tsconfig.json'));
}

/**
 * The npm packages of package-lock.json.
 * @param {(message: string) => void} log
 * @returns {Promise<string>}
 */
export async function ensurePackages(log) {
  if (isInstalled()) return 'as in package-lock.json';
  return exclusively('npm-packages', log, async () => {
    if (isInstalled()) return 'as in package-lock.json';
    log('npm ci');
    // No package needs its install script, and what our own `prepare` does is the next step, with its errors shown.
    await npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
    return 'installed from package-lock.json';
  });
}

/**
 * A build that is newer than every source.
 * @param {(message: string) => void} log
 * @returns {Promise<string>}
 */
export async function ensureBuild(log) {
  if (isBuilt()) return 'newer than every source';
  return exclusively('build', log, async () => {
    if (isBuilt()) return 'newer than every source';
    log('npm run build');
    await npm(['run', '--silent', 'build']);
    return 'made';
  });
}

// --- internal ---

/** @returns {boolean} */
function isInstalled() {
  if (!existsSync(installedFile)) return false;
  if (changedAt(installedFile) >= changedAt(lockFile)) return true;
  // git touches package-lock.json when branches change; node_modules is in use, and not thrown away for a date.
  if (!sameVersions()) return false;
  utimesSync(installedFile, new Date(), new Date());
  return true;
}

/** @returns {boolean} */
function sameVersions() {
  const wanted = packagesOf(lockFile);
  const installed = packagesOf(installedFile);
  return (
    Object.keys(installed).every((path) => path in wanted) &&
    Object.entries(wanted).every(
      ([path, { version, optional }]) =>
        path === '' || installed[path]?.version === version || (optional && !installed[path]),
    )
  );
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, optional?: boolean }>}
 */
function packagesOf(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
}

/** @returns {boolean} */
function isBuilt() {
  return existsSync(builtFile) && newestSource(root) < changedAt(builtFile);
}

/**
 * @param {string} folder
 * @returns {number}
 */
function newestSource(folder) {
  const entries = readdirSync(folder, { withFileTypes: true });
  const times = entries.map((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return NO_SOURCE.test(entry.name) ? 0 : newestSource(path);
    return SOURCE.test(entry.name) ? changedAt(path) : 0;
  });
  return Math.max(0, ...times);
}

/**
 * @param {string} file
 * @returns {number}
 */
function changedAt(file) {
  return statSync(file).mtimeMs;
}

/**
 * @param {string[]} args
 * @returns {Promise<void>}
 */
async function npm(args) {
  try {
    await run('npm', args, { timeoutMs: 15 * 60_000, cwd: root });
  } catch (error) {
    const why = messageOf(error);
    throw new SetupError(`${why}\nTo see all it says: npm ${args.join(' ')}`, { cause: error });
  }
}
