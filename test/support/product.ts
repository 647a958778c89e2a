/** The built product as a user has it: a workspace of its own, its command line, its background processes. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { BatchConfigInput } from '../../domain/config.ts';
import { toLabelFilters } from '../../domain/ids.ts';
import type { Store } from '../../domain/store.ts';
import { connectEngine, type Engine } from '../../sandbox/engine.ts';
import { openStore } from '../../store/open.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const CLI = join(ROOT, 'dist/client/cli.js');
/** Real sources that every checkout has after `npm ci`. */
export const COMMANDER = join(ROOT, 'node_modules/commander');

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Started {
  child: ChildProcess;
  /** What it has printed on stderr so far. */
  stderr(): string;
  ended: Promise<Ran>;
}

export interface Product {
  /** As this process sees it. */
  folder: string;
  port: number;
  /** Throws EngineUnavailable. */
  engine(): Promise<Engine>;
  run(args: string[], env?: Record<string, string>): Promise<Ran>;
  /** Starts a command; `ended` resolves once it has ended and nobody holds its streams any more. */
  start(args: string[], env?: Record<string, string>, wrap?: string[]): Started;
  configure(config: BatchConfigInput): void;
  store(): Promise<Store>;
  pidOf(daemon: 'server' | 'worker'): number;
  /** kill -9, and waits until it is gone. */
  kill(daemon: 'server' | 'worker'): Promise<void>;
  /** Containers of rollouts of this workspace's installation, by name. */
  containers(): Promise<string[]>;
  /** Everything of this workspace that runs or stands: containers, volumes, networks, processes. */
  leftovers(): Promise<string[]>;
  /** Stops and removes everything. */
  close(): Promise<void>;
}

/** Where a product is: on this host and its engine, in a folder of its own, by default. */
export interface Place {
  folder?: string;
  /** Where this process finds a path of the product's. */
  seenFromHere?: (path: string) => string;
  /** As what process this one knows one of the product's. */
  pidFromHere?: (pid: number) => number;
  /** Comes before each command, as to run it elsewhere. */
  wrap?: string[];
  env?: Record<string, string>;
}

export async function createProduct(place: Place = {}): Promise<Product> {
  const home = place.folder ?? newFolder();
  const folder = place.seenFromHere?.(home) ?? home;
  const port = await freePorts();
  const { env: own = {} } = place;
  const host = own['DOCKER_HOST'];
  const engine = () => connectEngine(host === undefined ? {} : { host });

  const product: Product = {
    folder,
    port,
    engine,

    run: (args, extra) => product.start(args, extra).ended,

    start(args, extra = {}, wrap = place.wrap ?? []) {
      // What else this machine does must not decide what a test sees.
      const env = {
        ...process.env,
        NO_COLOR: '1',
        TWINPATCH_MAX_LOAD: '1000',
        ...own,
        ...extra,
      };
      const [program = '', ...rest] = [...wrap, process.execPath, CLI, ...args];
      return startProgram(program, rest, { cwd: home, env });
    },

    // YAML is a superset of JSON.
    configure: (config) =>
      writeFileSync(join(folder, 'twinpatch.yaml'), JSON.stringify(config, undefined, 2)),

    store: () => openStore(join(folder, '.twinpatch/store')),

    pidOf(daemon) {
      const record = readFileSync(join(folder, `.twinpatch/${daemon}.json`), 'utf8');
      const { pid } = (JSON.parse(record) as { owner: { pid: number } }).owner;
      return place.pidFromHere?.(pid) ?? pid;
    },

    async kill(daemon) {
      const pid = product.pidOf(daemon);
      process.kill(pid, 'SIGKILL');
      await until(`${daemon} is gone`, async () => !isRunning(pid));
    },

    async containers() {
      const { id } = await product.store();
      const { docker } = await engine();
      const filters = { label: toLabelFilters({ installation: id, role: 'rollout' }) };
      const listed = await docker.listContainers({ all: true, filters });
      return listed.flatMap(({ Names }) => Names);
    },

    async leftovers() {
      const { id } = await product.store();
      const { docker } = await engine();
      const filters = { label: toLabelFilters({ installation: id }) };
      const [containers, volumes, networks] = await Promise.all([
        docker.listContainers({ all: true, filters }),
        docker.listVolumes({ filters: JSON.stringify(filters) as never }),
        docker.listNetworks({ filters }),
      ]);
      return [
        ...containers.flatMap(({ Names }) => Names),
        ...(volumes.Volumes ?? []).map(({ Name }) => `volume ${Name}`),
        ...networks.map(({ Name }) => `network ${Name}`),
        ...processesOf(home).map((pid) => `process ${pid}`),
      ];
    },

    async close() {
      await product.run(['down']);
      rmSync(home, { recursive: true, force: true });
    },
  };
  return product;
}

export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'twinpatch-product-'));
}

/** Waits for a condition, at most `timeoutMs`. */
export async function until(
  what: string,
  condition: () => Promise<boolean>,
  timeoutMs = 120_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(100);
  }
}

/** Starts any program and collects what it prints. */
export function startProgram(
  program: string,
  args: string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv },
): Started {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<Ran>((settle, fail) => {
    child.once('error', fail);
    child.once('close', (code) => settle({ code: code ?? -1, stdout, stderr }));
  });
  return { child, stderr: () => stderr, ended };
}

/** Whether a process is there, and no zombie. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z';
  } catch {
    return false;
  }
}

// --- internal ---

/** Processes that have this folder on their command line or in their environment. */
function processesOf(folder: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isRunning(Number(name)))
    .filter((pid) =>
      ['cmdline', 'environ'].some((file) => {
        try {
          return readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(folder);
        } catch {
          return false;
        }
      }),
    )
    .map(Number);
}

/** A port that is free together with the one 1,000 above it, for the UI. */
async function freePorts(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 20_000);
    if ((await isFree(port)) && (await isFree(port + 1000))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const probe = createServer()
      .once('error', () => settle(false))
      .listen(port, '127.0.0.1', () => probe.close(() => settle(true)));
  });
}
