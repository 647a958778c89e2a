import { findProgram, run } from './command.mjs';
import { messageOf } from './setup-error.mjs';

/**
 * Whether packages can be installed here: Debian or Ubuntu, as root.
 * @returns {boolean}
 */
export function canInstall() {
  return process.getuid?.() === 0 && findProgram('apt-get') !== undefined;
}

/**
 * Installs Debian packages; waits for another apt that is at work.
 * @param {string[]} packages
 * @param {(message: string) => void} log
 * @returns {Promise<void>}
 */
export async function installPackages(packages, log) {
  log(`installs ${packages.join(', ')} (apt-get)`);
  const options = { timeoutMs: 10 * 60_000, env: { DEBIAN_FRONTEND: 'noninteractive' } };
  const patience = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=2'];
  // One dead third-party source fails the update though the packages wanted here are known.
  const trouble = await run('apt-get', [...patience, 'update'], options).then(() => '', messageOf);
  try {
    await run(
      'apt-get',
      [...patience, 'install', '-y', '--no-install-recommends', ...packages],
      options,
    );
  } catch (error) {
    throw new Error(`${messageOf(error)}\n${trouble}`.trim(), { cause: error });
  }
}

/**
 * The Debian mirror that this host's own configuration names, and the proxy apt uses for it.
 * @returns {Promise<{ mirror: string | undefined, proxy: string | undefined }>}
 */
export async function debianSource() {
  const format = '$(REPO_URI) $(ORIGIN) $(LABEL) $(COMPONENT)';
  const options = { timeoutMs: 10_000 };
  const targets = await run(
    'apt-get',
    ['indextargets', '--format', format, 'Created-By: Packages'],
    options,
  );
  const proxy = await run('apt-config', ['dump', 'Acquire::http::Proxy'], options);
  return {
    mirror: /^(https?:\S+) Debian Debian main$/m.exec(targets)?.[1],
    proxy: /^Acquire::http::Proxy "(http[^"]+)"/m.exec(proxy)?.[1],
  };
}
