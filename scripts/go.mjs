import { findProgram, run } from './command.mjs';

const GO_INSTALL_MS = 20 * 60_000;
const GO_MINIMUM = [1, 25];

export const GO_NEEDED = `Go ${GO_MINIMUM.join('.')} or newer`;

/**
 * Builds a program from its module, statically; its binary is in `folder` then. Throws an Error where Go is missing or too old.
 * @param {string} target package and version, as `go install` takes them
 * @param {string} folder
 * @param {string} [linkFlags]
 * @returns {Promise<void>}
 */
export async function goInstall(target, folder, linkFlags = '-s -w') {
  await checkGo();
  await run('go', ['install', '-ldflags', linkFlags, target], {
    timeoutMs: GO_INSTALL_MS,
    env: { CGO_ENABLED: '0', GOBIN: folder },
    cwd: folder, // a go.mod or go.work around the caller's folder must not take part
  });
}

// --- internal ---

/** @returns {Promise<void>} */
async function checkGo() {
  const said = findProgram('go') ? await run('go', ['version'], { timeoutMs: 10_000 }) : undefined;
  if (!said) throw new Error('Go is not installed');
  const [, major, minor] = /go(\d+)\.(\d+)/.exec(said) ?? [];
  const [wantedMajor = 0, wantedMinor = 0] = GO_MINIMUM;
  const isEnough =
    Number(major) > wantedMajor || (Number(major) === wantedMajor && Number(minor) >= wantedMinor);
  if (!isEnough) throw new Error(`needs ${GO_NEEDED}, and here is ${said.trim()}`);
}
