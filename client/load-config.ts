/** Finds, reads and checks twinpatch.yaml. */

import { readFile, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { type BatchConfig, batchConfigSchema } from '../domain/config.ts';
import { demonstrationsOf } from '../domain/demonstrations.ts';
import { instructionsOf } from '../domain/instructions.ts';
import { PromptError, promptsOf } from '../domain/prompts.ts';
import { compileGlobs } from '../domain/globs.ts';
import { resolveStore, withFiles } from './config-paths.ts';
import { type ConfigText, MAX_CONFIG_BYTES, parseConfigText } from './config-file.ts';
import {
  configErrorMap,
  type ConfigIssue,
  describeUnknownKey,
  toConfigIssues,
} from './config-issues.ts';
import { configJsonSchema, nodeAt, type SchemaNode } from './config-schema.ts';
import { CliError, EXIT } from './errors.ts';

export const CONFIG_FILE = 'twinpatch.yaml';

export interface LoadedConfig {
  /** `store` and a local `repository.source` are absolute; `environment.dockerfile` is the file's text. */
  config: BatchConfig;
  path: string;
  /** The file's folder: what its relative paths start from. */
  folder: string;
}

export interface LoadOptions {
  /** The file; without it, the nearest twinpatch.yaml in `cwd` or above. */
  path?: string | undefined;
  /** `key.key=value` each, the value in YAML; they go before the file. */
  sets: string[];
  cwd: string;
}

/**
 * The configuration. Throws CliError with exit code 3 that lists every problem as `file:line:column  key: reason`, or says
 * that there is no file.
 */
export async function loadConfig({ path: given, sets, cwd }: LoadOptions): Promise<LoadedConfig> {
  const path = given === undefined ? await findConfig(cwd) : resolve(cwd, given);
  if (path === undefined) {
    throw new CliError(
      EXIT.config,
      `there is no ${CONFIG_FILE} — neither in ${cwd} nor in a folder above it`,
      { next: 'twinpatch init' },
    );
  }
  const fromHere = relative(cwd, path);
  const shown = fromHere.startsWith('..') ? path : fromHere;
  const folder = dirname(path);
  const config = parseConfig(await readConfig(path, shown), { shown, sets, folder });
  return { config, path, folder };
}

/** What holds where there is no file: all defaults, a scripted teacher, the repository in `cwd`. Throws as `loadConfig`. */
export function defaultConfig({ sets, cwd }: Pick<LoadOptions, 'sets' | 'cwd'>): BatchConfig {
  const text = 'name: default\nteacher: { scripted: {} }\n';
  return parseConfig(text, { shown: 'the defaults', sets, folder: cwd });
}

/**
 * How a batch is verified, with values set over it; a key of `verification` that is set replaces what it had. Throws CliError with
 * exit code 3, also for what decides about texts that are bought.
 */
export function changeVerification(
  current: BatchConfig['verification'],
  sets: string[],
): BatchConfig['verification'] {
  const keyOf = (set: string) => /^verification\.(\w+)/.exec(set)?.[1] ?? 'maxLeak';
  const wrong = sets.find((set) => keyOf(set) === 'maxLeak');
  if (wrong !== undefined) {
    throw new CliError(
      EXIT.config,
      `--set ${wrong} can't be used — it changes what is bought, not how that is verified`,
      { next: 'give keys of `verification` but maxLeak, or run a batch of another --name' },
    );
  }
  const { verification } = defaultConfig({ sets, cwd: '.' });
  const values: Record<string, unknown> = verification;
  return { ...current, ...Object.fromEntries(sets.map(keyOf).map((key) => [key, values[key]])) };
}

/** The nearest twinpatch.yaml in a folder or above it. */
export async function findConfig(from: string): Promise<string | undefined> {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    const path = join(folder, CONFIG_FILE);
    if ((await stat(path).catch(() => undefined))?.isFile()) return path;
    if (dirname(folder) === folder) return undefined;
  }
}

/**
 * The store that the nearest twinpatch.yaml names; undefined where there is no file or it names none. Whatever else is wrong with
 * the file matters only to commands that work with all of it.
 */
export async function findNamedStore(cwd: string): Promise<string | undefined> {
  const path = await findConfig(cwd);
  const text = path && (await readFile(path, 'utf8').catch(() => undefined));
  if (path === undefined || text === undefined) return undefined;
  const { value } = parseConfigText(text);
  const store = (value as { store?: unknown } | null | undefined)?.store;
  return typeof store === 'string' && store !== '' ? resolveStore(store, dirname(path)) : undefined;
}

// --- internal ---

function parseConfig(
  text: string,
  { shown, sets, folder }: { shown: string; sets: string[]; folder: string },
): BatchConfig {
  const file = parseConfigText(text);
  if (file.problems.length > 0) {
    throw refusal(
      shown,
      file.problems.map(({ place, reason }) => `${shown}:${place}  ${reason}`),
    );
  }
  if (file.value === null || typeof file.value !== 'object' || Array.isArray(file.value)) {
    const what = file.value === null ? 'the file is empty' : 'expected keys and values';
    throw refusal(shown, [
      `${shown}:1:1  ${what}; \`twinpatch init --force\` writes a complete one`,
    ]);
  }
  const schema = configJsonSchema();
  const assignments = sets.map((set) => parseSet(set, schema));
  const checked = check(assignments.reduce(assign, file.value as unknown), schema, folder);
  if ('config' in checked) return checked.config;
  throw refusal(
    shown,
    checked.issues.map((issue) => renderIssue(issue, file, assignments, shown)),
  );
}

function refusal(shown: string, problems: string[]): CliError {
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  return new CliError(
    EXIT.config,
    [`${shown} can't be used — ${count}:`, ...problems.map((line) => `  ${line}`)].join('\n'),
    { next: 'correct that; docs/configuration.md describes every key' },
  );
}

async function readConfig(path: string, shown: string): Promise<string> {
  let bytes: Buffer;
  try {
    if ((await stat(path)).size > MAX_CONFIG_BYTES) {
      throw new CliError(EXIT.config, `${shown} is no configuration — it is larger than 1 MiB`, {
        next: 'give the right file with --config, or put long texts elsewhere',
      });
    }
    bytes = await readFile(path);
  } catch (error) {
    if (error instanceof CliError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT' ? 'it is not there' : code === 'EISDIR' ? 'it is a folder' : message;
    throw new CliError(EXIT.config, `${shown} can't be read — ${why}`, {
      next: 'give the right file with --config, or write one with `twinpatch init`',
      cause: error,
    });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new CliError(EXIT.config, `${shown} can't be read — it is not UTF-8`, {
      next: 'save it as UTF-8',
      cause: error,
    });
  }
}

interface Assignment {
  /** As it was given. */
  text: string;
  path: (string | number)[];
  value: unknown;
}

function parseSet(text: string, schema: SchemaNode): Assignment {
  const refuse = (reason: string): never => {
    throw new CliError(EXIT.config, `--set ${text} can't be used — ${reason}`, {
      next: 'write --set key.key=value; docs/configuration.md describes every key',
    });
  };
  const equals = text.indexOf('=');
  if (equals <= 0) refuse('there is no `=` after a key');
  const path: (string | number)[] = [];
  for (const step of text.slice(0, equals).split('.')) {
    const parent = nodeAt(schema, path);
    if (parent?.items !== undefined && !/^\d+$/.test(step)) {
      refuse(`\`${path.join('.')}\` is a list; name its entry by number, from 0`);
    }
    if (nodeAt(schema, [...path, step]) === undefined || step === '__proto__') {
      const key = [...path, step].join('.');
      refuse(`${key}: ${describeUnknownKey(path, step, schema)}`);
    }
    path.push(parent?.items === undefined ? step : Number(step));
  }
  const parsed = parseConfigText(text.slice(equals + 1));
  const [problem] = parsed.problems;
  if (problem !== undefined) refuse(`the value: ${problem.reason}`);
  return { text, path, value: parsed.value };
}

/** A copy with the value at its place; what is missing on the way is made. */
function assign(holder: unknown, { text, path, value }: Assignment): unknown {
  const put = (at: unknown, depth: number): unknown => {
    const step = path[depth];
    if (step === undefined) return value;
    if (typeof step === 'number') {
      const items = Array.isArray(at) ? [...at] : [];
      if (step > items.length) {
        throw new CliError(
          EXIT.config,
          `--set ${text} can't be used — \`${path.slice(0, depth).join('.')}\` has ${items.length} entries, so the next one is ${items.length}`,
          { next: 'name the entries in their order' },
        );
      }
      items[step] = put(items[step], depth + 1);
      return items;
    }
    const entries = at !== null && typeof at === 'object' && !Array.isArray(at) ? at : {};
    return { ...entries, [step]: put((entries as Record<string, unknown>)[step], depth + 1) };
  };
  return put(holder, 0);
}

type Checked = { config: BatchConfig } | { issues: ConfigIssue[] };

function check(input: unknown, schema: SchemaNode, folder: string): Checked {
  const parsed = batchConfigSchema.safeParse(input, { error: configErrorMap });
  if (!parsed.success) return { issues: toConfigIssues(parsed.error.issues, schema) };
  const { prompts, repository, verification } = parsed.data;
  const config = withFiles(parsed.data, folder);
  const issues = [
    ...('issue' in config ? [config.issue] : []),
    ...globIssues(['repository', 'include'], repository.include),
    ...globIssues(['repository', 'exclude'], repository.exclude),
    ...Object.entries(verification.kinds ?? {}).flatMap(([kind, globs]) =>
      globIssues(['verification', 'kinds', kind], globs ?? []),
    ),
    ...promptIssues(() => promptsOf(prompts)),
    ...promptIssues(() => demonstrationsOf(prompts.demonstrations)),
    ...promptIssues(() => {
      const count = instructionsOf(prompts.instructions).length;
      if (count >= ATTEMPTS) return;
      throw new PromptError(
        `prompts.instructions: a sample needs ${ATTEMPTS} different ones, and there are ${count}; add more or set \`replace: false\``,
      );
    }),
  ];
  return issues.length > 0 || 'issue' in config ? { issues } : config;
}

/** Each attempt at rollout 1 draws an instruction of its own. */
const ATTEMPTS = 3;

function globIssues(key: string[], globs: string[]): ConfigIssue[] {
  return globs.flatMap((glob, index) => {
    try {
      compileGlobs([glob]);
      return [];
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return [{ path: [...key, index], reason: error.message, isKey: false }];
    }
  });
}

/** Texts are rendered strictly; here is where a person can still correct them. */
function promptIssues(render: () => unknown): ConfigIssue[] {
  try {
    render();
    return [];
  } catch (error) {
    if (!(error instanceof PromptError)) throw error;
    const [name = '', ...reason] = error.message.split(': ');
    const path = name.split('.').flatMap((step, depth) => (depth === 2 ? ['add', step] : [step]));
    return [{ path, reason: reason.join(': '), isKey: false }];
  }
}

function renderIssue(
  { path, reason, isKey }: ConfigIssue,
  file: ConfigText,
  assignments: Assignment[],
  shown: string,
): string {
  const key = path.join('.') || 'the file';
  const within = (outer: readonly unknown[], inner: readonly unknown[]) =>
    outer.every((step, depth) => String(step) === String(inner[depth]));
  const set = assignments.findLast(
    (assignment) =>
      within(assignment.path, path) || (within(path, assignment.path) && !file.has(path)),
  );
  if (set !== undefined) return `--set ${set.text}  ${key}: ${reason}`;
  return `${shown}:${file.placeOf(path, isKey ? 'key' : 'value')}  ${key}: ${reason}`;
}
