import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { canInstall, installPackages } from './apt.mjs';
import { cacheFolder, exclusively } from './cache.mjs';
import { findProgram, isProgram, run } from './command.mjs';
import { SetupError, messageOf } from './setup-error.mjs';

/** Where the C sources of guestd are. */
export const GUEST_SOURCES = fileURLToPath(new URL('../sandbox/guest', import.meta.url));
const BINARIES = fileURLToPath(new URL('../dist/guest', import.meta.url));
const ARCHITECTURES = ['x86_64', 'aarch64'];

/** What every compiler of guestd is told. */
export const GUEST_FLAGS = '-std=c11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Werror'.split(' ');
const RELEASE_FLAGS =
  '-static -Os -s -fstack-protector-strong -fno-asynchronous-unwind-tables'.split(' ');

const ZIG_VERSION = '0.15.2';
/** Of the wheels on PyPI: Linux x86_64 and aarch64, macOS arm64 and x86_64. */
const ZIG_SHA256 = [
  '806316453d1ede7174ed3fefb8e5348154629089c3bb5fe812dfd0e172fac130',
  'edc0aa60ec964a4cf462d40f68d7de242ddf37fd9a80f2afaee6397059463230',
  'acae2a9ce67ed249ad68d42c21bc73b5f9d51a33ba5ea42f609f78683e8d9bb7',
  '47af4f85e3e59bd672126cc026d3a01b516cad24b9a9ea075abfe8532f4c6bc1',
];

const PIP_MS = 15 * 60_000;
const COMPILE_MS = 10 * 60_000;

/** @typedef {(message: string) => void} Log */

/**
 * The guest process of every sandbox, static, for each architecture of an engine: built where a source is newer than it.
 * @param {Log} log
 * @returns {Promise<string>}
 */
export async function ensureGuestd(log) {
  const isBuilt = () => ARCHITECTURES.every((architecture) => isFresh(binaryOf(architecture)));
  const done = `for ${ARCHITECTURES.join(' and ')}`;
  if (isBuilt()) return done;
  return exclusively('guestd', log, async () => {
    if (isBuilt()) return done;
    const zig = (await findZig()) ?? (await installZig(log));
    log(`compiles ${done}`);
    await mkdir(BINARIES, { recursive: true });
    await Promise.all(ARCHITECTURES.map((architecture) => compile(zig, architecture)));
    return `compiled ${done}`;
  });
}

/**
 * The files to compile, in one order everywhere, relative to their folder.
 * @returns {string[]}
 */
export function guestSources() {
  return readdirSync(GUEST_SOURCES)
    .filter((name) => name.endsWith('.c'))
    .sort();
}

/**
 * Whether a binary is there and newer than the sources, also those that are gone, and than what is said here.
 * @param {string} binary
 * @returns {boolean}
 */
export function isFresh(binary) {
  if (!existsSync(binary)) return false;
  const sources = readdirSync(GUEST_SOURCES).map((name) => join(GUEST_SOURCES, name));
  const inputs = [...sources, GUEST_SOURCES, fileURLToPath(import.meta.url)];
  return inputs.every((input) => statSync(input).mtimeMs < statSync(binary).mtimeMs);
}

// --- internal ---

/**
 * @param {string} architecture
 * @returns {string}
 */
function binaryOf(architecture) {
  return join(BINARIES, `guestd-${architecture}`);
}

/**
 * @param {string} zig
 * @param {string} architecture
 * @returns {Promise<void>}
 */
async function compile(zig, architecture) {
  const binary = binaryOf(architecture);
  const unfinished = `${binary}.new`;
  const target = ['-target', `${architecture}-linux-musl`];
  const flags = [...target, ...RELEASE_FLAGS, ...GUEST_FLAGS, '-o', unfinished];
  await run(zig, ['cc', ...flags, ...guestSources()], {
    timeoutMs: COMPILE_MS,
    cwd: GUEST_SOURCES,
    env: { ZIG_GLOBAL_CACHE_DIR: join(cacheFolder(), `zig-cache-${ZIG_VERSION}`) },
  });
  await rename(unfinished, binary);
}

/** @returns {string} */
function zigFolder() {
  return join(cacheFolder(), `ziglang-${ZIG_VERSION}`);
}

/** @returns {Promise<string | undefined>} the compiler of the pinned version: the cached one, or the one on PATH */
async function findZig() {
  const cached = join(zigFolder(), 'ziglang', 'zig');
  if (isProgram(cached)) return cached;
  const onPath = findProgram('zig');
  const said = onPath && (await run(onPath, ['version'], { timeoutMs: 10_000 }).catch(() => ''));
  return said?.trim() === ZIG_VERSION ? onPath : undefined;
}

/**
 * @param {Log} log
 * @returns {Promise<string>}
 */
async function installZig(log) {
  if (!(await hasPip())) {
    if (!canInstall()) {
      throw new SetupError(
        `guestd is compiled with zig ${ZIG_VERSION} from PyPI, which needs python3 with pip. ` +
          `Install them (on Debian or Ubuntu, set-up does so when it runs as root), or put that zig on PATH, and try again.`,
      );
    }
    await installPackages(['python3-pip'], log);
  }
  log(`downloads zig ${ZIG_VERSION} from PyPI (90 MB); its first compiling takes about a minute`);
  const work = await mkdtemp(join(cacheFolder(), 'ziglang-'));
  try {
    const requirements = join(work, 'requirements.txt');
    const hashes = ZIG_SHA256.map((sha256) => `--hash=sha256:${sha256}`);
    await writeFile(requirements, [`ziglang==${ZIG_VERSION}`, ...hashes].join(' '));
    const what = ['--require-hashes', '--only-binary=:all:', '--no-deps', '-r', requirements];
    const where = ['--no-compile', '--target', join(work, 'packages')];
    await run('python3', ['-m', 'pip', 'install', ...what, ...where], { timeoutMs: PIP_MS });
    await rename(join(work, 'packages'), zigFolder());
  } catch (error) {
    throw new SetupError(
      `zig ${ZIG_VERSION}, which compiles guestd, can't be installed from PyPI: ${messageOf(error)}\n` +
        `Put zig ${ZIG_VERSION} on PATH, or make this work, and try again: python3 -m pip download ziglang==${ZIG_VERSION}`,
      { cause: error },
    );
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return join(zigFolder(), 'ziglang', 'zig');
}

/** @returns {Promise<boolean>} */
async function hasPip() {
  const asked = run('python3', ['-m', 'pip', '--version'], { timeoutMs: 60_000 });
  return asked.then(
    () => true,
    () => false,
  );
}
