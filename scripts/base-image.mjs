import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { canInstall, debianSource, installPackages } from './apt.mjs';
import { cacheFolder, exclusively } from './cache.mjs';
import { findProgram, run } from './command.mjs';
import { askEngine } from './engine-api.mjs';
import { SetupError, messageOf } from './setup-error.mjs';

/** The image that repositories are put on when their YAML names none: Debian with bash, git and python3. */
export const BASE_IMAGE = 'twinpatch/base:bookworm';

const REGISTRY_SILENCE_MS = 20_000;
const BUILD_SILENCE_MS = 5 * 60_000;

// Nothing of these is needed to run programs, and they are a third of the tree.
const LEFT_OUT =
  'proc sys dev tmp var/cache/apt var/lib/apt/lists var/log usr/share/doc usr/share/man usr/share/info usr/share/locale'.split(
    ' ',
  );

/**
 * The base image's id, or undefined where it has not been made.
 * @returns {Promise<string | undefined>}
 */
export async function findBaseImage() {
  const { status, text } = await askEngine('GET', `/images/${BASE_IMAGE}/json`);
  return status === 200 ? JSON.parse(text).Id : undefined;
}

/**
 * The base image's id: what is there, else built on a pulled Debian, else made of Debian packages without any registry.
 * @param {(message: string) => void} log
 * @returns {Promise<string>}
 */
export async function ensureBaseImage(log) {
  const found = await findBaseImage();
  if (found) return found;
  return exclusively('base-image', log, async () => {
    const made = await findBaseImage();
    if (made) return made;
    try {
      await buildOnPulledImage(log);
    } catch (error) {
      const reason = messageOf(error);
      log(`not from an image registry: ${reason}`);
      await importDebianPackages(reason, log);
    }
    const id = await findBaseImage();
    if (id) return id;
    throw new Error(`the engine has no ${BASE_IMAGE}, though it was just made`);
  });
}

// --- internal ---

/**
 * @param {(message: string) => void} log
 * @returns {Promise<void>}
 */
async function buildOnPulledImage(log) {
  log('pulls debian:bookworm-slim');
  await askEngine('POST', '/images/create?fromImage=debian&tag=bookworm-slim', {
    silenceMs: REGISTRY_SILENCE_MS,
  });
  const file = 'base-image.Dockerfile';
  const folder = fileURLToPath(new URL('.', import.meta.url));
  log('adds git and python3');
  await askEngine('POST', `/build?t=${BASE_IMAGE}&dockerfile=${file}&forcerm=1`, {
    silenceMs: BUILD_SILENCE_MS,
    body: tarStream(['-C', folder, '-c', file]),
  });
}

/**
 * @param {string} noRegistry why there is no image to build on
 * @param {(message: string) => void} log
 * @returns {Promise<void>}
 */
async function importDebianPackages(noRegistry, log) {
  if (!canInstall()) {
    throw new SetupError(
      `No base image: pulling one failed (${noRegistry}), and making one of Debian packages needs root on Debian or Ubuntu. ` +
        `Tag any image with bash, git and python3: docker tag IMAGE ${BASE_IMAGE}`,
    );
  }
  if (!findProgram('debootstrap')) {
    await installPackages(['debootstrap', 'debian-archive-keyring'], log);
  }
  const root = join(cacheFolder(), 'base-image-root');
  const removeRoot = () => run('rm', ['-rf', '--one-file-system', root], { timeoutMs: 60_000 });
  log('makes it of Debian packages (debootstrap), about 2 minutes');
  await removeRoot();
  try {
    await debootstrap(root);
    await importTree(root);
  } finally {
    await removeRoot();
  }
}

/**
 * @param {string} root
 * @returns {Promise<void>}
 */
async function debootstrap(root) {
  const { mirror, proxy } = await debianSource();
  const what = ['--variant=minbase', '--include=git,python3,ca-certificates', 'bookworm', root];
  // In a mount namespace of its own, a debootstrap that is killed leaves no /proc mounted in the tree.
  await run('unshare', ['--mount', 'debootstrap', ...what, ...(mirror ? [mirror] : [])], {
    timeoutMs: 15 * 60_000,
    env: proxy ? { http_proxy: proxy } : {},
  });
}

/**
 * @param {string} root
 * @returns {Promise<void>}
 */
async function importTree(root) {
  const [repo = '', tag = ''] = BASE_IMAGE.split(':');
  const query = new URLSearchParams({ fromSrc: '-', repo, tag });
  query.append('changes', 'LABEL dev.twinpatch.role=base');
  query.append('changes', 'CMD ["bash"]');
  const exclude = LEFT_OUT.map((folder) => `--exclude=./${folder}/*`);
  await askEngine('POST', `/images/create?${query.toString()}`, {
    silenceMs: BUILD_SILENCE_MS,
    body: tarStream(['-C', root, '--numeric-owner', ...exclude, '-c', '.']),
  });
}

/**
 * What tar writes; a tar that fails fails the stream, so half a tree never becomes an image.
 * @param {string[]} args
 * @returns {Readable}
 */
function tarStream(args) {
  return Readable.from(tarChunks(args));
}

/**
 * @param {string[]} args
 * @returns {AsyncGenerator<Buffer>}
 */
async function* tarChunks(args) {
  const tar = spawn('tar', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const end = once(tar, 'exit');
  yield* tar.stdout;
  const [code] = await end;
  if (code !== 0) throw new Error(`tar ended with ${code}`);
}
