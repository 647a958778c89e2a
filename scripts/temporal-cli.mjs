import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { cacheFolder, exclusively } from './cache.mjs';
import { findProgram, isProgram, run } from './command.mjs';
import { GO_NEEDED, goInstall } from './go.mjs';
import { SetupError, messageOf } from './setup-error.mjs';

/** The one version everywhere: a data file of the embedded server is not promised to open in another. */
export const TEMPORAL_CLI_VERSION = '1.5.1';

const CONNECT_MS = 5_000;
const DOWNLOAD_MS = 120_000;

/** @typedef {(message: string) => void} Log */

/**
 * The path of a Temporal CLI of the pinned version: the cached one, or the one on PATH; else undefined.
 * @returns {Promise<string | undefined>}
 */
export async function findTemporalCli() {
  const cached = cachedCli();
  if (isProgram(cached)) return cached; // only a verified binary is ever put there
  const onPath = findProgram('temporal');
  return onPath && (await isPinnedVersion(onPath)) ? onPath : undefined;
}

/**
 * The path of a Temporal CLI of the pinned version: found, else downloaded, else built with Go. Kept in the user's cache.
 * @param {Log} log
 * @returns {Promise<string>}
 */
export async function ensureTemporalCli(log) {
  const found = await findTemporalCli();
  if (found) return found;
  return exclusively('temporal-cli', log, async () => {
    const made = await findTemporalCli();
    if (made) return made;
    const work = await mkdtemp(join(cacheFolder(), 'temporal-'));
    try {
      return await obtain(work, log);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
}

// --- internal ---

/** @returns {string} */
function cachedCli() {
  return join(cacheFolder(), `temporal-${TEMPORAL_CLI_VERSION}`, 'temporal');
}

/**
 * @param {string} work a folder for the making, on the cache's own disk
 * @param {Log} log
 * @returns {Promise<string>}
 */
async function obtain(work, log) {
  const reasons = [];
  for (const source of [download, buildWithGo]) {
    try {
      const binary = await source(work, log);
      if (!(await isPinnedVersion(binary))) throw new Error(`it is not ${TEMPORAL_CLI_VERSION}`);
      await mkdir(dirname(cachedCli()), { recursive: true });
      await rename(binary, cachedCli());
      return cachedCli();
    } catch (error) {
      const reason = messageOf(error);
      reasons.push(`${source === download ? 'release archive' : 'go install'}: ${reason}`);
      log(`no luck with the ${reasons.at(-1)}`);
    }
  }
  throw new SetupError(
    `No Temporal CLI ${TEMPORAL_CLI_VERSION}.\n${reasons.join('\n')}\n` +
      `Install ${GO_NEEDED} and try again, or put the binary of release v${TEMPORAL_CLI_VERSION} at ${cachedCli()}`,
  );
}

/**
 * @param {string} work
 * @param {Log} log
 * @returns {Promise<string>}
 */
async function download(work, log) {
  const version = TEMPORAL_CLI_VERSION;
  const platform = `${process.platform}_${process.arch === 'x64' ? 'amd64' : process.arch}`;
  const url = `https://github.com/temporalio/cli/releases/download/v${version}/temporal_cli_${version}_${platform}.tar.gz`;
  log(`downloads the release archive of ${version}`);
  const archive = join(work, 'archive.tar.gz');
  const connecting = new AbortController();
  const timer = setTimeout(
    () => connecting.abort(new Error(`no answer within ${CONNECT_MS / 1000} s`)),
    CONNECT_MS,
  );
  const signal = AbortSignal.any([connecting.signal, AbortSignal.timeout(DOWNLOAD_MS)]);
  const response = await fetch(url, { signal }).finally(() => clearTimeout(timer));
  if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
  await pipeline(Readable.fromWeb(response.body), createWriteStream(archive), { signal });
  await run('tar', ['-xzf', archive, '-C', work, 'temporal'], { timeoutMs: 60_000 });
  return join(work, 'temporal');
}

/**
 * @param {string} work
 * @param {Log} log
 * @returns {Promise<string>}
 */
async function buildWithGo(work, log) {
  log(`builds ${TEMPORAL_CLI_VERSION} with go install, about 4 minutes`);
  // The flags of the official release; without them the binary takes itself for a development version.
  const linkFlags = `-s -w -X github.com/temporalio/cli/temporalcli.Version=${TEMPORAL_CLI_VERSION}`;
  const target = `github.com/temporalio/cli/cmd/temporal@v${TEMPORAL_CLI_VERSION}`;
  await goInstall(target, work, linkFlags);
  return join(work, 'temporal');
}

/**
 * @param {string} binary
 * @returns {Promise<boolean>}
 */
async function isPinnedVersion(binary) {
  const said = await run(binary, ['--version'], { timeoutMs: 10_000 }).catch(() => '');
  return said.startsWith(`temporal version ${TEMPORAL_CLI_VERSION} `);
}
