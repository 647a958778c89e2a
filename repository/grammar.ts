/** Parsers of the languages, from the compiled grammars that the build puts into `grammars/`. */

import path from 'node:path';
import { Language as Grammar, Parser } from 'web-tree-sitter';
import { toRoles, type Roles } from './function-walk.ts';
import type { Language } from './languages.ts';
import { RepositoryError } from './repository-error.ts';

interface LoadedGrammar {
  parser: Parser;
  roles: Roles;
}

/**
 * The parser of a language, loaded once per process.
 * Throws RepositoryError of kind `set-up` where the build has not been run.
 */
export function loadGrammar(language: Language): Promise<LoadedGrammar> {
  const known = grammars.get(language.grammar);
  if (known !== undefined) return known;
  const loading = load(language);
  grammars.set(language.grammar, loading);
  return loading;
}

// --- internal ---

const grammars = new Map<string, Promise<LoadedGrammar>>();

async function load(language: Language): Promise<LoadedGrammar> {
  await Parser.init();
  const file = path.join(import.meta.dirname, 'grammars', language.grammar);
  try {
    const parser = new Parser().setLanguage(await Grammar.load(file));
    return { parser, roles: toRoles(language, parser) };
  } catch (cause) {
    throw new RepositoryError(
      'set-up',
      `The grammar of ${language.name} can't be loaded from ${file}. Run \`npm run build\` (or \`node scripts/build.mjs --grammars\`) and try again.`,
      { cause },
    );
  }
}
