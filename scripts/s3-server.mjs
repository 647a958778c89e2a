import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cacheFolder, exclusively } from './cache.mjs';
import { isProgram } from './command.mjs';
import { GO_NEEDED, goInstall } from './go.mjs';
import { SetupError, messageOf } from './setup-error.mjs';

const VERSITYGW_VERSION = '1.8.0';

/**
 * Where the S3 server of the tests is, once it has been made.
 * @returns {string}
 */
export function s3ServerPath() {
  return join(cacheFolder(), `versitygw-${VERSITYGW_VERSION}`, 'versitygw');
}

/**
 * The S3 server of the tests: the one in the user's cache, else built with Go.
 * @param {(message: string) => void} log
 * @returns {Promise<string>}
 */
export async function ensureS3Server(log) {
  const path = s3ServerPath();
  await exclusively('versitygw', log, async () => {
    if (isProgram(path)) return;
    log(`builds versitygw ${VERSITYGW_VERSION} with go install, about a minute`);
    const work = await mkdtemp(join(cacheFolder(), 'versitygw-'));
    try {
      await goInstall(`github.com/versity/versitygw/cmd/versitygw@v${VERSITYGW_VERSION}`, work);
      await mkdir(dirname(path), { recursive: true });
      await rename(join(work, 'versitygw'), path);
    } catch (error) {
      throw new SetupError(
        `No versitygw ${VERSITYGW_VERSION}: ${messageOf(error)}\nInstall ${GO_NEEDED}, or put its binary at ${path}`,
      );
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
  return `versitygw ${VERSITYGW_VERSION}`;
}
