/** `twinpatch init`: a commented twinpatch.yaml after a look at the repository. */

import type { Command } from '@commander-js/extra-typings';
import { CliError, EXIT } from '../errors.ts';
import { note, print, printJson, sanitizeLine, type Io } from '../output.ts';
import type { StarterAnswers } from '../starter-config.ts';

export function registerInit(program: Command, io: Io): void {
  program
    .command('init')
    .summary('write a commented twinpatch.yaml after looking at the repository')
    .description(
      'Looks at a repository and writes a commented twinpatch.yaml into the current folder. On a terminal it asks for the teacher.',
    )
    .argument('[path]', 'folder or git URL', '.')
    .option('--yes', 'ask nothing')
    .option('--force', 'replace a twinpatch.yaml that is there')
    .option('--json', 'print what was found and written as JSON; asks nothing')
    .addHelpText(
      'after',
      `
Examples:
  $ twinpatch init
  $ twinpatch init ~/code/project --yes
  $ twinpatch init https://host/team/project.git --yes --json

JSON: {path, schema, repository, commit, functions: {found, eligible, reasons}, languages, folders, setup}.`,
    )
    .action((path, options) => init(path, options, io));
}

// --- internal ---

interface InitOptions {
  yes?: true | undefined;
  force?: true | undefined;
  json?: true | undefined;
}

async function init(given: string, { yes, force, json }: InitOptions, io: Io) {
  const { access, mkdir, writeFile } = await import('node:fs/promises');
  const { dirname, join, resolve } = await import('node:path');
  const { isLocalSource } = await import('../config-paths.ts');
  const { CONFIG_FILE } = await import('../load-config.ts');
  const path = join(io.cwd, CONFIG_FILE);
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (isThere && !force) throw alreadyThere(path);
  const { openSource } = await import('../../repository/source.ts');
  const { sourceCacheFolder } = await import('../cache-folder.ts');
  const { surveyRepository } = await import('../repository-survey.ts');
  const { nameFrom, renderStarterConfig, SCHEMA_FILE } = await import('../starter-config.ts');
  const { renderSchema } = await import('../reference.ts');
  const location = isLocalSource(given) ? resolve(io.cwd, given) : given;
  const source = await openSource(location, { cacheDir: sourceCacheFolder(io.env) });
  const survey = await surveyRepository(source);
  const suggested = { ...PLACEHOLDERS, name: nameFrom(location) };
  const isTerminal = io.stdin.isTTY === true && io.stderr.isTTY === true;
  const answers = yes || json || !isTerminal ? suggested : await ask(suggested, io);
  const schemaPath = join(io.cwd, SCHEMA_FILE);
  await mkdir(dirname(schemaPath), { recursive: true });
  // The folder holds results and caches, never sources: git passes over it.
  await writeFile(join(dirname(schemaPath), '.gitignore'), '*\n');
  await writeFile(schemaPath, renderSchema());
  const text = renderStarterConfig(given, survey, answers);
  await writeFile(path, text, { flag: force ? 'w' : 'wx' }).catch((error: unknown) => {
    throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? alreadyThere(path) : error;
  });
  if (json) {
    return printJson(io, { path, schema: schemaPath, repository: source.label, ...survey });
  }
  const { found, eligible } = survey.functions;
  await print(io, `wrote ${path}`);
  await print(io, `${sanitizeLine(source.label)}: ${found} functions found, ${eligible} eligible`);
  if (eligible === 0) {
    await note(io, 'No function is eligible: `twinpatch functions` shows each with its reason.');
  }
  await note(io, 'next: give the teacher in it, then twinpatch plan');
}

const PLACEHOLDERS = {
  baseUrl: 'http://127.0.0.1:8000/v1',
  model: 'glm-4.6',
  apiKeyEnv: 'TEACHER_API_KEY',
};

function alreadyThere(path: string): CliError {
  return new CliError(EXIT.failed, `${path} is there already — it is not overwritten`, {
    next: 'twinpatch init --force replaces it',
  });
}

/** Questions on stderr; an empty answer takes the suggestion, one that is not valid is asked again. */
async function ask(suggested: StarterAnswers, io: Io): Promise<StarterAnswers> {
  const { createInterface } = await import('node:readline/promises');
  const { batchConfigSchema } = await import('../../domain/config.ts');
  const terminal = createInterface({ input: io.stdin, output: io.stderr });
  const answers = { ...suggested };
  const isValid = ({ name, ...endpoint }: StarterAnswers) =>
    batchConfigSchema.safeParse({ name, teacher: { endpoints: [endpoint] } }).success;
  try {
    for (const [key, question] of [
      ['name', 'name of the batch'],
      ['baseUrl', 'address of the teacher (OpenAI-compatible)'],
      ['model', 'model'],
      ['apiKeyEnv', 'environment variable that holds the key'],
    ] as const) {
      for (;;) {
        const answer = (await terminal.question(`${question} [${suggested[key]}]: `)).trim();
        answers[key] = answer || suggested[key];
        if (isValid(answers)) break;
        await note(io, 'that is not valid here');
      }
    }
    return answers;
  } catch (error) {
    // Ctrl-C or Ctrl-D at a question.
    if (!(error instanceof Error && error.name === 'AbortError')) throw error;
    throw new CliError(EXIT.interrupted, 'interrupted — nothing was written', { cause: error });
  } finally {
    terminal.close();
  }
}
