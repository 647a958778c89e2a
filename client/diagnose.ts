/** The checks of `twinpatch doctor`: each says what it found, and the one thing to do where that is not enough. */

import { existsSync } from 'node:fs';
import { access, constants, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { execa } from 'execa';
import { type BatchConfig, DEFAULT_IMAGE } from '../domain/config.ts';
import { findBaseImage } from '../scripts/base-image.mjs';
import { askEngine } from '../scripts/engine-api.mjs';
import { findTemporalCli, TEMPORAL_CLI_VERSION } from '../scripts/temporal-cli.mjs';
import { isBucket } from '../domain/location.ts';
import { hasPrices } from '../domain/price.ts';
import { StoreMissing } from '../domain/store.ts';
import { openStore } from '../store/open.ts';
import { CliError } from './errors.ts';
import { loadConfig } from './load-config.ts';
import { countWorkers, findRunning, type ServerOptions } from './launch.ts';
import { inspectNamespace } from './namespace.ts';
import type { Io } from './output.ts';
import { defaultStore, workspaceOf } from './workspace.ts';

export interface Finding {
  check: string;
  ok: boolean;
  message: string;
  fix?: string;
}

export interface DiagnoseOptions extends ServerOptions {
  config?: string | undefined;
  store?: string | undefined;
}

const MIN_FREE_BYTES = 5 * 1024 ** 3;
const ENDPOINT_MS = 5_000;
const NO_WORKER = 'none; run and up start one here, twinpatch worker on any host';
const SETUP = 'node scripts/setup.mjs in the folder of twinpatch';

/** Runs every check; none throws. */
export async function diagnose(io: Io, options: DiagnoseOptions): Promise<Finding[]> {
  const config = await readConfig(io, options);
  const store = options.store ?? config.value?.store ?? defaultStore(io.cwd, io.env);
  const findings = await Promise.all<Finding | Finding[]>([
    checkNode(),
    checkGit(),
    checkEngine(),
    checkBaseImage(config.value),
    checkTemporalCli(),
    checkServer(store, options),
    checkStore(store),
  ]);
  return [
    ...findings.flat(),
    ...config.findings,
    ...(config.value === undefined ? [] : await checkTeacher(config.value, io.env)),
  ];
}

// --- internal ---

function good(check: string, message: string): Finding {
  return { check, ok: true, message };
}

function bad(check: string, message: string, fix: string): Finding {
  return { check, ok: false, message, fix };
}

async function readConfig(
  io: Io,
  { config: path }: DiagnoseOptions,
): Promise<{ value?: BatchConfig; findings: Finding[] }> {
  try {
    const { config, path: found } = await loadConfig({ path, sets: [], cwd: io.cwd });
    return { value: config, findings: [good('config', found)] };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { findings: [bad('config', error.message, error.next ?? 'twinpatch init')] };
  }
}

async function checkNode(): Promise<Finding> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 20 || (major === 20 && minor >= 19)
    ? good('node', process.versions.node)
    : bad('node', `${process.versions.node} is too old`, 'install Node 20.19 or newer');
}

async function checkGit(): Promise<Finding> {
  const { stdout, failed } = await execa('git', ['--version'], { reject: false });
  return failed
    ? bad('git', 'not found', 'install git')
    : good('git', stdout.replace('git version ', ''));
}

async function checkEngine(): Promise<Finding> {
  try {
    const { status, text } = await askEngine('GET', '/version');
    if (status !== 200) return bad('docker engine', `answers with ${status}`, 'look at its log');
    const { Version: version, ApiVersion: api } = JSON.parse(text) as {
      Version: string;
      ApiVersion: string;
    };
    return good('docker engine', `${version}, API ${api}`);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const named = process.env['DOCKER_HOST'];
    return named
      ? bad('docker engine', `${why} (DOCKER_HOST=${named})`, 'start it, or unset DOCKER_HOST')
      : bad('docker engine', why, SETUP);
  }
}

async function checkBaseImage(config: BatchConfig | undefined): Promise<Finding> {
  const { image, dockerfile } = config?.environment ?? {};
  if (dockerfile !== undefined)
    return good('image', 'built from environment.dockerfile when it is first needed');
  if (image !== undefined && image !== DEFAULT_IMAGE)
    return good('image', `${image}, pulled when it is first needed`);
  try {
    return (await findBaseImage()) === undefined
      ? bad('image', `${DEFAULT_IMAGE} is not there`, SETUP)
      : good('image', DEFAULT_IMAGE);
  } catch {
    return bad('image', `${DEFAULT_IMAGE} can't be looked for`, 'mend the docker engine first');
  }
}

async function checkTemporalCli(): Promise<Finding> {
  const path = await findTemporalCli();
  return path === undefined
    ? bad('temporal CLI', `${TEMPORAL_CLI_VERSION} not found`, SETUP)
    : good('temporal CLI', `${TEMPORAL_CLI_VERSION} at ${path}`);
}

async function checkServer(store: string, options: ServerOptions): Promise<Finding[]> {
  const name = 'server';
  try {
    const running = await findRunning(workspaceOf(store), options);
    if (running === undefined) {
      return [good(name, 'not running; run and up start it'), good('worker', NO_WORKER)];
    }
    const { server, client } = running;
    const [{ serverVersion }, state, workers] = await Promise.all([
      client.workflowService.getSystemInfo({}),
      inspectNamespace(client, server.namespace),
      countWorkers(client, server.namespace),
    ]);
    await client.connection.close();
    const version = serverVersion ?? 'unknown version';
    return [
      good(name, `${version} at ${server.address}, results kept ${state.retentionDays} days`),
      good('worker', workers === 0 ? NO_WORKER : `${workers} at work for this server`),
    ];
  } catch (error) {
    const fix = error instanceof CliError ? error.next : undefined;
    const message = error instanceof Error ? error.message : String(error);
    return [bad(name, message, fix ?? 'twinpatch up')];
  }
}

async function checkStore(store: string): Promise<Finding> {
  let isThere = true;
  try {
    await openStore(store, { make: false }).catch((error: unknown) => {
      if (!(error instanceof StoreMissing)) throw error;
      isThere = false;
    });
    if (isBucket(store)) return good('store', `${store} can be read and written`);
    if (!isThere) await access(nearestFolder(store), constants.W_OK);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return bad('store', message, 'correct that, or give another `store`');
  }
  const { bavail, bsize } = await statfs(nearestFolder(store));
  const free = `${((bavail * bsize) / 1024 ** 3).toFixed(1)} GiB free`;
  const what = isThere ? `${free} at ${store}` : `${free} at ${store}, where run makes it`;
  return bavail * bsize >= MIN_FREE_BYTES
    ? good('store', what)
    : bad('store', `only ${what}`, 'free some space, or give another `store`');
}

function nearestFolder(path: string): string {
  return existsSync(path) ? path : nearestFolder(dirname(path));
}

async function checkTeacher(
  { teacher }: BatchConfig,
  variables: NodeJS.ProcessEnv,
): Promise<Finding[]> {
  if (teacher.scripted !== undefined) return [good('teacher', 'scripted: rows are simulated')];
  const endpoints = await Promise.all(
    teacher.endpoints.map((endpoint) => checkEndpoint(endpoint, variables)),
  );
  return [...endpoints, checkPrices(teacher)];
}

function checkPrices(teacher: BatchConfig['teacher']): Finding {
  if (!hasPrices(teacher)) {
    return bad(
      'prices',
      'none given, or not for every endpoint: cost is shown as unpriced, and no cap on it can be kept',
      'give teacher.price in twinpatch.yaml, or cap tokens and hours alone',
    );
  }
  const prices = teacher.endpoints.flatMap(({ price = teacher.price }) =>
    price === undefined ? [] : [`$${price.input} in, $${price.output} out`],
  );
  return good('prices', `${[...new Set(prices)].join('; ')} per million tokens`);
}

async function checkEndpoint(
  { baseUrl, model, apiKeyEnv }: BatchConfig['teacher']['endpoints'][number],
  variables: NodeJS.ProcessEnv,
): Promise<Finding> {
  const { host } = new URL(baseUrl);
  const key = apiKeyEnv === undefined ? undefined : variables[apiKeyEnv];
  if (apiKeyEnv !== undefined && !key)
    return bad('teacher', `${host}: ${apiKeyEnv} is not set`, `export ${apiKeyEnv}=…`);
  try {
    const answer = await fetch(`${baseUrl.replace(/\/+$/, '')}/models`, {
      ...(key !== undefined && { headers: { authorization: `Bearer ${key}` } }),
      signal: AbortSignal.timeout(ENDPOINT_MS),
    });
    if (answer.status === 401 || answer.status === 403)
      return bad('teacher', `${host} refuses the key`, `correct ${apiKeyEnv ?? 'apiKeyEnv'}`);
    if (!answer.ok)
      return good('teacher', `${host} answers (${answer.status} for the list of models)`);
    const { data = [] } = (await answer.json()) as { data?: { id: string }[] };
    return data.length === 0 || data.some(({ id }) => id === model)
      ? good('teacher', `${host} serves ${model}`)
      : bad(
          'teacher',
          `${host} does not list ${model}`,
          `one of: ${data
            .slice(0, 5)
            .map(({ id }) => id)
            .join(', ')}`,
        );
  } catch (error) {
    return bad(
      'teacher',
      `${host} does not answer: ${error instanceof Error ? error.message : String(error)}`,
      'start it, or correct teacher.endpoints',
    );
  }
}
