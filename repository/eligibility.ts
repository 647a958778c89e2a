/** Which functions may be targets, and why the others are not. */

import type { FoundFunction } from './function-walk.ts';
import { compileGlobs } from '../domain/globs.ts';
import type { Language } from './languages.ts';
import { isPrintablePath } from './paths.ts';

/** In the order in which they are looked at: the first that holds is the one that is given. */
export const REASONS = [
  'excluded',
  'unprintable path',
  'vendored',
  'generated',
  'test',
  'nested',
  'long name',
  'too short',
  'duplicate',
] as const;
export type Reason = (typeof REASONS)[number];

/** What a user chooses: `repository.include`, `repository.exclude` and `targets.minLines`. */
export interface Targets {
  include: readonly string[];
  exclude: readonly string[];
  minLines: number;
}

/** Why no function of a file is eligible, from its path and its first lines; undefined: they may be. */
export function createFileJudge({
  include,
  exclude,
}: Targets): (path: string, language: Language, source: string) => Reason | undefined {
  const included = include.length === 0 ? () => true : compileGlobs(include);
  const excluded = compileGlobs(exclude);
  return (path, language, source) => {
    if (!included(path) || excluded(path)) return 'excluded';
    if (!isPrintablePath(path)) return 'unprintable path';
    const folders = path.toLowerCase().split('/');
    const file = folders.pop() ?? '';
    if (folders.some((folder) => VENDORED.has(folder))) return 'vendored';
    if (language.generatedFile.test(file) || isGenerated(source)) return 'generated';
    if (language.testFile.test(file) || folders.some((folder) => TESTS.has(folder))) return 'test';
    return undefined;
  };
}

/**
 * Why each function of a file is not eligible by itself. Of several with one qualified name (overloads,
 * getter and setter, branches) the longest counts, the first among equals; the others are duplicates.
 */
export function judgeFunctions(
  functions: readonly FoundFunction[],
  minLines: number,
): (Reason | undefined)[] {
  const longest = new Map<string, FoundFunction>();
  for (const candidate of functions) {
    const best = longest.get(candidate.name);
    if (best === undefined || lines(candidate) > lines(best))
      longest.set(candidate.name, candidate);
  }
  return functions.map((candidate) => {
    if (candidate.nested) return 'nested';
    if (candidate.name.length > MAX_NAME_CHARS) return 'long name';
    if (lines(candidate) < minLines) return 'too short';
    return longest.get(candidate.name) === candidate ? undefined : 'duplicate';
  });
}

// --- internal ---

const VENDORED = new Set([
  'vendor',
  'vendored',
  '_vendor',
  '_vendored',
  'third_party',
  'third-party',
  'thirdparty',
  '3rdparty',
  'node_modules',
  'bower_components',
  'site-packages',
  'extern',
]);
const TESTS = new Set([
  'test',
  'tests',
  '__tests__',
  '__mocks__',
  '__fixtures__',
  'fixtures',
  'testdata',
  'e2e',
]);

/** Longer than any qualified name a person wrote. */
const MAX_NAME_CHARS = 200;

const HEADER_CHARS = 2000;
const GENERATED =
  /@generated\b|\bDO NOT EDIT\b|[Gg]enerated\b.*\b[Dd]o not (?:edit|modify)|\b[Dd]o not (?:edit|modify)\b.*generated/;
/** No one writes lines of this length on the average: it is minified. */
const MINIFIED_MEAN_CHARS = 300;

function isGenerated(source: string): boolean {
  if (GENERATED.test(source.slice(0, HEADER_CHARS))) return true;
  if (source.length < HEADER_CHARS) return false;
  let count = 1;
  for (let at = source.indexOf('\n'); at !== -1; at = source.indexOf('\n', at + 1)) count += 1;
  return source.length / count > MINIFIED_MEAN_CHARS;
}

function lines({ startLine, endLine }: FoundFunction): number {
  return endLine - startLine + 1;
}
