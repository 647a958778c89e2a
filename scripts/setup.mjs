import { BASE_IMAGE, ensureBaseImage } from './base-image.mjs';
import { ensureBuild, ensurePackages, isCheckout } from './checkout.mjs';
import { ensureDockerEngine } from './docker-engine.mjs';
import { ensureGuestd } from './guestd.mjs';
import { SetupError, messageOf } from './setup-error.mjs';
import { TEMPORAL_CLI_VERSION, ensureTemporalCli } from './temporal-cli.mjs';
import { ensureTestTools } from './test-tools.mjs';

/**
 * @typedef {object} Step
 * @property {string} title
 * @property {string} [after] the step whose result this one needs
 * @property {boolean} [isNeeded]
 * @property {(log: (message: string) => void) => Promise<string>} ensure gives what is there now, in words
 */

/** @type {Record<string, Step>} */
const steps = {
  npm: { title: 'npm packages', isNeeded: isCheckout(), ensure: ensurePackages },
  build: { title: 'build', after: 'npm', isNeeded: isCheckout(), ensure: ensureBuild },
  guestd: { title: 'guestd', isNeeded: isCheckout(), ensure: ensureGuestd },
  temporal: {
    title: 'temporal CLI',
    ensure: async (log) => `${TEMPORAL_CLI_VERSION} at ${await ensureTemporalCli(log)}`,
  },
  engine: {
    title: 'docker engine',
    ensure: async (log) => {
      const { version, address } = await ensureDockerEngine(log);
      return `${version} at ${address}`;
    },
  },
  'base-image': {
    title: 'base image',
    after: 'engine',
    ensure: async (log) => `${BASE_IMAGE} ${(await ensureBaseImage(log)).slice(0, 19)}`,
  },
  'test-tools': { title: 'test tools', isNeeded: false, ensure: ensureTestTools },
};

await main(process.argv.slice(2));

/**
 * Runs the named steps, or all that running needs, each once what it needs is there; independent ones at the same time.
 * @param {string[]} names
 * @returns {Promise<void>}
 */
async function main(names) {
  const unknown = names.filter((name) => !(name in steps));
  if (unknown.length > 0) {
    say(`Unknown step: ${unknown.join(', ')}. Steps: ${Object.keys(steps).join(' ')}`);
    process.exitCode = 2;
    return;
  }
  /** @type {Map<string, Promise<boolean>>} */
  const results = new Map();
  for (const [name, step] of Object.entries(steps)) {
    const isWanted = names.length === 0 ? step.isNeeded !== false : names.includes(name);
    if (isWanted) results.set(name, runAfter(results.get(step.after ?? ''), step));
  }
  const isDone = (await Promise.all(results.values())).every(Boolean);
  process.exitCode = isDone ? 0 : 1;
}

/**
 * @param {Promise<boolean> | undefined} earlier
 * @param {Step} step
 * @returns {Promise<boolean>} whether it succeeded; it has said how it failed
 */
async function runAfter(earlier, { title, ensure }) {
  if (earlier && !(await earlier)) return false;
  const name = title.padEnd(14);
  const start = performance.now();
  try {
    const what = await ensure((message) => say(`..  ${name} ${message}`));
    say(`ok  ${name} ${what} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
    return true;
  } catch (error) {
    const next = error instanceof SetupError ? '' : '\nTo try again: node scripts/setup.mjs';
    say(`no  ${name} ${messageOf(error)}${next}`);
    return false;
  }
}

/**
 * @param {string} line
 * @returns {void}
 */
function say(line) {
  process.stderr.write(`${line}\n`);
}
