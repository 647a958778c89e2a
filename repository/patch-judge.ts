/** Whether a patch fits the snapshot it was made from, and whether what it makes can still be parsed. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { type AppliedFile, applyPatch, pathsOf } from '../domain/patch-apply.ts';
import type { SnapshotFiles } from '../domain/ports.ts';
import type { Ref } from '../domain/sample.ts';
import type { PatchJudgement } from '../domain/verification.ts';
import { loadGrammar } from './grammar.ts';
import { languageOf, type Language } from './languages.ts';

export type PatchJudge = (snapshot: Ref, patch: string) => Promise<PatchJudgement>;

/** Judges patches whose paths are text. Throws RepositoryError of kind `set-up` without grammars, and what `files` throws. */
export function createPatchJudge(files: SnapshotFiles): PatchJudge {
  return async (snapshot, patch) => {
    const contents = await files.read(snapshot, pathsOf(patch));
    // As the patch was decoded: bytes that are no UTF-8 stand for the same character on both sides.
    const applied = applyPatch(patch, (path) => decode(contents.get(path)));
    if ('misfit' in applied) return { applies: false, parses: null, unparsable: [] };
    const unparsable: string[] = [];
    let looked = 0;
    let unitsLeft = MAX_UNITS;
    for (const file of applied.files) {
      const language = languageOf(file.path);
      if (language === undefined || file.after === null) continue;
      unitsLeft -= file.after.length + (file.before?.length ?? 0);
      if (unitsLeft < 0) break;
      const isBroken = await breaks(file, file.after, language);
      if (isBroken === undefined) continue;
      looked += 1;
      if (isBroken) unparsable.push(file.path);
      await nextTurn();
    }
    return {
      applies: true,
      parses: looked === 0 ? null : unparsable.length === 0,
      unparsable: unparsable.slice(0, MAX_NAMED),
    };
  };
}

// --- internal ---

function decode(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Buffer.from(bytes).toString('utf8');
}

/** Characters parsed for one patch; a second or two at most. */
const MAX_UNITS = 8 * 1024 ** 2;
const MAX_PARSE_MS = 5_000;
const MAX_NAMED = 10;

/**
 * Whether the new text has errors and the old one had none; undefined where that can't be said. Grammars are not perfect: a
 * file that already had errors says nothing about the patch.
 */
async function breaks(
  { before }: AppliedFile,
  after: string,
  language: Language,
): Promise<boolean | undefined> {
  const now = await hasErrors(after, language);
  if (now !== true || before === null) return now;
  return (await hasErrors(before, language)) === false ? true : undefined;
}

/** Undefined where the parser took too long. */
async function hasErrors(text: string, language: Language): Promise<boolean | undefined> {
  const { parser } = await loadGrammar(language);
  const deadline = performance.now() + MAX_PARSE_MS;
  const tree = parser.parse(text, null, {
    progressCallback: () => performance.now() > deadline,
  });
  if (tree === null) {
    parser.reset();
    return undefined;
  }
  try {
    return tree.rootNode.hasError;
  } finally {
    tree.delete();
  }
}
