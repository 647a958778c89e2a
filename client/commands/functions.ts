/** `twinpatch functions`: what would be targeted, and why the rest is not. */

import type { Command } from '@commander-js/extra-typings';
import type { BatchConfig } from '../../domain/config.ts';
import type { LeftOut } from '../../repository/source-file.ts';
import { note, print, printJson, sanitizeLine, write, type Io } from '../output.ts';
import { collect } from '../options.ts';

export function registerFunctions(program: Command, io: Io): void {
  program
    .command('functions')
    .summary('what would be targeted, and why the rest is not')
    .description(
      'Lists the functions of a repository. Without PATH, those of the nearest twinpatch.yaml, or of the current folder; with PATH, `include`, `exclude` and `minLines` have their defaults unless --config is given.',
    )
    .argument('[path]', 'folder or git URL')
    .option('--json', 'print every function as a line of JSON')
    .option('--commit <name>', 'commit, by any name git knows')
    .option('--config <file>', 'configuration, instead of the nearest twinpatch.yaml')
    .option('--set <key=value>', 'override a value of the configuration', collect, [])
    .addHelpText(
      'after',
      `
Examples:
  $ twinpatch functions
  $ twinpatch functions ~/code/project --commit v1.2.0
  $ twinpatch functions https://host/team/project.git --json | head

JSON lines: {file, name, kind, language, startLine, endLine, eligible, reason}; reason is null for eligible ones.`,
    )
    .action((path, options) => listFunctionsOf(path, options, io));
}

// --- internal ---

interface FunctionsOptions {
  json?: true | undefined;
  commit?: string | undefined;
  config?: string | undefined;
  set: string[];
}

async function listFunctionsOf(path: string | undefined, options: FunctionsOptions, io: Io) {
  const { repository, targets } = await settingsFor(path, options, io);
  const { openSource } = await import('../../repository/source.ts');
  const { listFunctions } = await import('../../repository/functions.ts');
  const { FunctionCounts } = await import('../function-counts.ts');
  const { renderLeftOut } = await import('../left-out.ts');
  const { sourceCacheFolder } = await import('../cache-folder.ts');
  const source = await openSource(repository.source, { cacheDir: sourceCacheFolder(io.env) });
  const commit = await source.resolve(options.commit ?? repository.commits[0] ?? 'HEAD');
  const leftOut = new Map<string, string>();
  const onLeftOut = (file: LeftOut) => leftOut.set(file.path, file.reason);
  const { guardSecrets } = await import('../../repository/secret-guard.ts');
  const files = guardSecrets(source, repository.secrets).files(commit, onLeftOut);
  const counts = new FunctionCounts();
  for await (const found of listFunctions(files, { ...repository, ...targets }, onLeftOut)) {
    counts.add(found);
    if (options.json) await printJson(io, found);
  }
  for (const line of renderLeftOut(leftOut)) await note(io, line);
  if (options.json) return;
  const { renderTable } = await import('../table.ts');
  const view = { stream: io.stdout, env: io.env };
  const languages = counts.languages.map((each) => [each.language, each.found, each.eligible]);
  const total = ['all', counts.found, counts.eligible];
  const head = ['language', 'found', 'eligible'];
  await print(io, `${sanitizeLine(source.label)} at ${commit}\n`);
  await write(io.stdout, renderTable(head, [...languages, total], view));
  const reasons = Object.entries(counts.reasons);
  if (reasons.length > 0) {
    await write(io.stdout, `\n${renderTable(['not eligible', 'functions'], reasons, view)}`);
  }
  await note(io, '\nevery function: --json');
}

type Settings = Pick<BatchConfig, 'repository' | 'targets'>;

async function settingsFor(
  path: string | undefined,
  { config: file, set }: FunctionsOptions,
  io: Io,
): Promise<Settings> {
  const { isLocalSource } = await import('../config-paths.ts');
  const { defaultConfig, findConfig, loadConfig } = await import('../load-config.ts');
  const wanted = file ?? (path === undefined ? await findConfig(io.cwd) : undefined);
  const { repository, targets } =
    wanted === undefined
      ? defaultConfig({ sets: set, cwd: io.cwd })
      : (await loadConfig({ path: wanted, sets: set, cwd: io.cwd })).config;
  if (path === undefined) return { targets, repository };
  const { resolve } = await import('node:path');
  const source = isLocalSource(path) ? resolve(io.cwd, path) : path;
  return { targets, repository: { ...repository, source } };
}
