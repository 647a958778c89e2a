/** A first look at a repository: what is in it, and how its environment is probably set up. */

import { batchConfigSchema } from '../domain/config.ts';
import { listFunctions } from '../repository/functions.ts';
import type { Source } from '../repository/source-file.ts';
import { countBy, FunctionCounts, topFolder } from './function-counts.ts';

export interface Survey {
  commit: string;
  functions: { found: number; eligible: number; reasons: Record<string, number> };
  languages: { language: string; found: number; eligible: number }[];
  /** Eligible functions by top folder. */
  folders: Record<string, number>;
  setup: SetupHint | null;
}

export interface SetupHint {
  /** The file it was told by. */
  file: string;
  image: string;
  commands: string[];
}

/** Reads the commit `HEAD`. Throws RepositoryError. */
export async function surveyRepository(source: Source): Promise<Survey> {
  const commit = await source.resolve('HEAD');
  const rootFiles = new Set<string>();
  async function* watched() {
    for await (const file of source.files(commit)) {
      if (!file.path.includes('/')) rootFiles.add(file.path);
      yield file;
    }
  }
  const counts = new FunctionCounts();
  const eligible: string[] = [];
  for await (const found of listFunctions(watched(), DEFAULT_TARGETS)) {
    counts.add(found);
    if (found.eligible) eligible.push(found.file);
  }
  return {
    commit,
    functions: { found: counts.found, eligible: counts.eligible, reasons: counts.reasons },
    languages: counts.languages,
    folders: countBy(eligible, topFolder),
    setup: hintOf(rootFiles, counts.languages[0]?.language),
  };
}

// --- internal ---

const DEFAULT_TARGETS = (() => {
  const { repository, targets } = batchConfigSchema.parse({
    name: 'default',
    teacher: { scripted: {} },
  });
  return { ...repository, ...targets };
})();

const PYTHON = { image: 'python:3.12-slim', languages: ['python'] };
const NODE = { image: 'node:22-slim', languages: ['javascript', 'typescript', 'tsx'] };
const GO = { image: 'golang:1.25', languages: ['go'] };

/** By what stands at the top of the tree; the first that fits the main language is taken. */
const HINTS: { file: string; image: string; languages: string[]; commands: string[] }[] = [
  { ...PYTHON, file: 'uv.lock', commands: ['pip install uv', 'uv sync --frozen'] },
  { ...PYTHON, file: 'poetry.lock', commands: ['pip install poetry', 'poetry install'] },
  { ...PYTHON, file: 'Pipfile.lock', commands: ['pip install pipenv', 'pipenv sync --dev'] },
  { ...PYTHON, file: 'pyproject.toml', commands: ['pip install -e .'] },
  { ...PYTHON, file: 'setup.py', commands: ['pip install -e .'] },
  { ...PYTHON, file: 'requirements.txt', commands: ['pip install -r requirements.txt'] },
  { ...NODE, file: 'pnpm-lock.yaml', commands: ['corepack enable', 'pnpm install'] },
  { ...NODE, file: 'yarn.lock', commands: ['corepack enable', 'yarn install'] },
  { ...NODE, file: 'package-lock.json', commands: ['npm ci'] },
  { ...NODE, file: 'package.json', commands: ['npm install'] },
  { ...GO, file: 'go.mod', commands: ['go mod download'] },
];

function hintOf(rootFiles: Set<string>, mainLanguage: string | undefined): SetupHint | null {
  const fitting = HINTS.filter(({ file }) => rootFiles.has(file));
  const best =
    fitting.find(({ languages }) => languages.includes(mainLanguage ?? '')) ?? fitting[0];
  return best ? { file: best.file, image: best.image, commands: best.commands } : null;
}
