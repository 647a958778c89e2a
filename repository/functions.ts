/** Functions of source files, as the languages' own parsers would find them, and which may be targets. */

import type { TargetFunction } from '../domain/sample.ts';
import { createFileJudge, judgeFunctions, type Reason, type Targets } from './eligibility.ts';
import { walkFunctions, type FoundFunction } from './function-walk.ts';
import { loadGrammar } from './grammar.ts';
import { languageOf, type Language } from './languages.ts';
import type { LeftOut, SourceFile } from './source-file.ts';
import { decodeSource } from './source-text.ts';

/** A function of the repository; `reason` is null when it is eligible. */
export interface FunctionRecord extends TargetFunction {
  eligible: boolean;
  reason: Reason | null;
}

/**
 * Every named function with a body, in the order of the file. Names: `Class.method`, `outer.inner`,
 * Go `Type.Method`; a function expression is named by what it is bound to (`exports.x`, `Class.field`,
 * `object.key`, `default`), and left out when that is nothing or not simple. What stands in an
 * anonymous function counts as outside of it. A function whose own text has syntax errors is left
 * out; the rest of the file counts. Throws RepositoryError of kind `set-up` without grammars.
 */
export async function extractFunctions(
  source: string,
  language: Language,
): Promise<FoundFunction[]> {
  if (!mayHoldFunctions(source, language)) return [];
  const { parser, roles } = await loadGrammar(language);
  // Rows are counted by line feeds only.
  const text = source.includes('\r') ? source.replace(/\r\n?/g, '\n') : source;
  const tree = parser.parse(text);
  if (tree === null) return [];
  const cursor = tree.walk();
  try {
    return walkFunctions(cursor, text, roles);
  } finally {
    cursor.delete();
    tree.delete();
  }
}

/**
 * A record per function in a language we know, in the order of the files. Links are not followed; a
 * source of more than 4 MiB, or that is no text, is left out, and said. Throws as `extractFunctions`, and RangeError for
 * a glob that is none.
 */
export async function* listFunctions(
  files: AsyncIterable<SourceFile>,
  targets: Targets,
  onLeftOut: (leftOut: LeftOut) => void = () => {},
): AsyncGenerator<FunctionRecord> {
  const judgeFile = createFileJudge(targets);
  for await (const { path: file, mode, bytes } of files) {
    const language = languageOf(file);
    if (language === undefined || mode === '120000') continue;
    if (bytes.length > MAX_SOURCE_BYTES) {
      onLeftOut({
        path: file,
        reason: 'a source of more than 4 MiB is not searched for functions',
      });
      continue;
    }
    const source = decodeSource(bytes, language);
    if (source === undefined) {
      onLeftOut({ path: file, reason: 'it is no text that is searched: binary, or UTF-16' });
      continue;
    }
    const functions = await extractFunctions(source, language);
    if (functions.length === 0) continue;
    const ofFile = judgeFile(file, language, source);
    const ofFunctions = judgeFunctions(functions, targets.minLines);
    for (const [index, { name, kind, startLine, endLine }] of functions.entries()) {
      const reason = ofFile ?? ofFunctions[index] ?? null;
      const eligible = reason === null;
      yield { file, name, kind, language: language.name, startLine, endLine, eligible, reason };
    }
  }
}

// --- internal ---

const MAX_SOURCE_BYTES = 4 * 1024 ** 2;
/** A file without the keyword needs no parse; the other languages have functions without one. */
function mayHoldFunctions(source: string, { name }: Language): boolean {
  if (name === 'python') return source.includes('def ') || source.includes('def\t');
  return name === 'go' ? source.includes('func') : true;
}
