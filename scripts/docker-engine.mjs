import { spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { canInstall, installPackages } from './apt.mjs';
import { cacheFolder, exclusively } from './cache.mjs';
import { findProgram, lastLines, programEnvironment, run } from './command.mjs';
import { askEngine, engineAddress } from './engine-api.mjs';
import { SetupError } from './setup-error.mjs';

const START_MS = 60_000;

// Node closes only low descriptors of its own caller; a pipe left open in the daemon would keep that caller waiting for ever.
const CLOSE_INHERITED =
  'for fd in /proc/self/fd/*; do n=${fd##*/}; ((n < 3)) || eval "exec $n>&-"; done; exec "$@"';

/** @typedef {{ version: string, address: string }} DockerEngine */

/**
 * The engine that answers, or undefined.
 * @returns {Promise<DockerEngine | undefined>}
 */
export async function findDockerEngine() {
  const { engine } = await ping();
  return engine;
}

/**
 * An engine that answers: the one that is there, untouched, or, as root on Debian or Ubuntu, one installed and started here.
 * @param {(message: string) => void} log
 * @returns {Promise<DockerEngine>}
 */
export async function ensureDockerEngine(log) {
  const { engine } = await ping();
  if (engine) return engine;
  return exclusively('docker-engine', log, async () => {
    const { engine: started, trouble } = await ping();
    return started ?? bringUp(trouble, log);
  });
}

// --- internal ---

/** @returns {Promise<{ engine: DockerEngine, trouble?: never } | { engine?: never, trouble: NodeJS.ErrnoException }>} */
async function ping() {
  const { text } = engineAddress();
  try {
    // The version in the reply's header costs nothing; /version makes the engine start runc and docker-init.
    const { status, server } = await askEngine('GET', '/_ping');
    if (status !== 200) throw new Error(`it answers with status ${status}`);
    return { engine: { version: /^\w+\/(\S+)/.exec(server)?.[1] ?? server, address: text } };
  } catch (error) {
    return { trouble: /** @type {NodeJS.ErrnoException} */ (error) };
  }
}

/**
 * @param {NodeJS.ErrnoException} trouble
 * @param {(message: string) => void} log
 * @returns {Promise<DockerEngine>}
 */
async function bringUp(trouble, log) {
  const { text, isDefault } = engineAddress();
  const failure = `No Docker engine answers at ${text} (${trouble.message}).`;
  if (!isDefault) throw new SetupError(`${failure} Start it, or unset DOCKER_HOST and try again.`);
  if (trouble.code === 'EACCES') {
    throw new SetupError(
      `${failure} This user may not use it: sudo usermod -aG docker "$USER", then log in again.`,
    );
  }
  const running = runningDockerd();
  if (running) {
    log(`waits for dockerd (process ${running}), which is there but doesn't answer yet`);
    const engine = await answer(() => runningDockerd() !== running);
    if (engine) return engine;
    if (runningDockerd()) {
      throw new SetupError(
        `${failure} Look at what dockerd (process ${running}) logs, or stop it.`,
      );
    }
  }
  if (!canInstall()) {
    throw new SetupError(
      `${failure} Install Docker and start it (on Debian or Ubuntu, set-up does so when it runs as root), or let DOCKER_HOST name an engine.`,
    );
  }
  if (!findProgram('dockerd') || !findProgram('iptables')) {
    await installPackages(['docker.io', 'iptables'], log);
  }
  return startDockerd(log);
}

/**
 * A dockerd that is running or just starting: it writes its pid file before anything else.
 * @returns {number | undefined}
 */
function runningDockerd() {
  return liveProcess('/var/run/docker.pid', 'dockerd');
}

/**
 * The process a pid file names. The file of a dead one goes: as long as its pid is a zombie's or has gone to another process,
 * dockerd refuses to start, or waits for a containerd that is no more.
 * @param {string} pidFile
 * @param {string} name
 * @returns {number | undefined}
 */
function liveProcess(pidFile, name) {
  if (!existsSync(pidFile)) return undefined;
  const pid = Number(readFileSync(pidFile, 'utf8'));
  const commandLine = `/proc/${pid}/cmdline`; // empty for a zombie
  if (existsSync(commandLine) && readFileSync(commandLine, 'utf8').includes(name)) return pid;
  if (process.getuid?.() === 0) rmSync(pidFile, { force: true });
  return undefined;
}

/**
 * @param {(message: string) => void} log
 * @returns {Promise<DockerEngine>}
 */
async function startDockerd(log) {
  if (existsSync('/run/systemd/system')) {
    log('starts docker.service');
    await run('systemctl', ['start', 'docker'], { timeoutMs: START_MS });
    const engine = await answer(() => false);
    if (engine) return engine;
    throw new SetupError('docker.service was started, but no engine answers: journalctl -u docker');
  }
  const logFile = join(cacheFolder(), 'dockerd.log');
  log(`starts dockerd, which logs to ${logFile}`);
  const end = spawnDockerd(logFile);
  const engine = await answer(() => end() !== undefined);
  if (engine) return engine;
  const said = lastLines(readFileSync(logFile, 'utf8'), 8);
  const next = /overlay.*not supported|driver not supported/.test(said)
    ? 'Its data folder must lie on ext4, or on xfs with ftype=1: put {"data-root": "/FOLDER/ON/SUCH/A/DISK"} into /etc/docker/daemon.json and try again.'
    : `All it said is in ${logFile}`;
  throw new SetupError(`dockerd didn't start (${end() ?? 'no answer'}).\n${said}\n${next}`);
}

/**
 * Starts a dockerd that outlives us.
 * @param {string} logFile
 * @returns {() => string | undefined} how it ended, if it did
 */
function spawnDockerd(logFile) {
  liveProcess('/var/run/docker/containerd/containerd.pid', 'containerd');
  const output = openSync(logFile, 'a');
  const command = [findProgram('dockerd') ?? 'dockerd', ...daemonFlags()];
  const daemon = spawn('bash', ['-c', CLOSE_INHERITED, 'dockerd', ...command], {
    detached: true,
    stdio: ['ignore', output, output],
    cwd: '/',
    env: programEnvironment,
  });
  /** @type {string | undefined} */
  let end;
  daemon.on('error', (error) => (end = error.message));
  daemon.on('exit', (code, signal) => (end = `it ended with ${signal ?? code}`));
  daemon.unref();
  return () => end;
}

/**
 * The flags that daemon.json doesn't already give: dockerd refuses to start on a setting given twice.
 * @returns {string[]}
 */
function daemonFlags() {
  const file = '/etc/docker/daemon.json';
  const settings = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return [
    ...(settings.includes('"storage-driver"') ? [] : ['--storage-driver=overlay2']),
    ...(settings.includes('"live-restore"') ? [] : ['--live-restore']),
  ];
}

/**
 * Waits until the engine answers, for a minute at most.
 * @param {() => boolean} isOver whether it never will
 * @returns {Promise<DockerEngine | undefined>}
 */
async function answer(isOver) {
  const deadline = Date.now() + START_MS;
  while (!isOver() && Date.now() < deadline) {
    const engine = await findDockerEngine();
    if (engine) return engine;
    await sleep(100);
  }
  return undefined;
}
