/** The twinpatch.yaml that `init` writes: few keys, commented, valid as it is. */

import { DEFAULT_IMAGE } from '../domain/config.ts';
import { BATCH_NAME_PATTERN } from '../domain/ids.ts';
import { sanitizeLine } from './output.ts';
import type { Survey } from './repository-survey.ts';

export const SCHEMA_FILE = '.twinpatch/twinpatch.schema.json';

/** What a user was asked, or did not want to be. */
export interface StarterAnswers {
  name: string;
  baseUrl: string;
  model: string;
  apiKeyEnv: string;
}

/** `~/code/My Project.git` → `my-project`. */
export function nameFrom(source: string): string {
  const last =
    source
      .replace(/[/\\]+$/, '')
      .split(/[/\\:]/)
      .at(-1) ?? '';
  const name = last
    .replace(/\.git$/, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 64);
  return BATCH_NAME_PATTERN.test(name) ? name : 'batch';
}

export function renderStarterConfig(
  source: string,
  survey: Survey,
  { name, baseUrl, model, apiKeyEnv }: StarterAnswers,
): string {
  const { functions, languages, folders, setup } = survey;
  const languageList = languages.map(({ language, found }) => `${language} ${found}`).join(', ');
  const folderList = Object.entries(folders)
    .slice(0, MAX_FOLDERS)
    .map(([folder, count]) => `${folder} ${count}`);
  const include = Object.keys(folders).find((folder) => folder !== '.');
  return `# yaml-language-server: $schema=${SCHEMA_FILE}
# Every key: docs/configuration.md of twinpatch. Before you start: twinpatch plan
name: ${quote(name)}

repository:
  # ${comment(`${functions.found} functions (${languageList || 'no known language'}), ${functions.eligible} eligible`)}
  source: ${quote(source)}
  commits: [HEAD]
  # ${comment(`eligible by folder: ${folderList.join(', ') || 'none'}`)}
  # include: [${quote(`${include ?? 'src'}/**`)}]
  # exclude: ["examples/**"]

environment:
${renderSetup(setup)}
targets:
  samples: 200
  seed: 7

teacher:
  endpoints:
    - baseUrl: ${quote(baseUrl)}
      model: ${quote(model)}
      # The variable that holds the key; the key itself never stands here. Leave it out where none is needed.
      apiKeyEnv: ${quote(apiKeyEnv)}
      maxConcurrency: 32
  temperature: 0.6
  # USD per million tokens; without prices cost is unknown and a budget can't be kept.
  # price: { input: 0.60, cachedInput: 0.11, output: 2.20 }

# Needs teacher.price.
# budget: { maxCostUsd: 25 }

store: .twinpatch/store
`;
}

// --- internal ---

const MAX_FOLDERS = 8;

/** Text that a repository had a say in: on one line, it can't leave its comment. */
function comment(text: string): string {
  return sanitizeLine(text);
}

/** JSON is YAML, and no text can break out of it. */
function quote(text: string): string {
  return JSON.stringify(text);
}

function renderSetup(setup: Survey['setup']): string {
  if (setup === null) return `  image: ${DEFAULT_IMAGE}\n  # setup: ["make"]\n`;
  return `  image: ${DEFAULT_IMAGE}
  # ${setup.file} is there, so this may fit; an image that has the tools saves time:
  # image: ${quote(setup.image)}
  # setup: ${JSON.stringify(setup.commands)}
`;
}
