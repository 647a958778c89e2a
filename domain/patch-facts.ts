/** What a patch is made of: facts stored with a sample and usable as filters at export; none is applied by itself. */

import { compileGlobs } from './globs.ts';
import { readPatch, type Hunk, type PatchFile } from './patch.ts';

/** Every file is of one kind, the first that fits in this order. */
export const FILE_KINDS = [
  'binary',
  'lock',
  'vendored',
  'generated',
  'tests',
  'docs',
  'config',
  'source',
] as const;
export type FileKind = (typeof FILE_KINDS)[number];

/** The function a sample is about: path inside the repository, lines from 1, both ends included. */
export interface FunctionRange {
  file: string;
  startLine: number;
  endLine: number;
}

export interface PatchFacts {
  files: number;
  added: number;
  removed: number;
  /** Files of each kind; they add up to `files`. */
  kinds: Record<FileKind, number>;
  /** New files that look left behind: programs, logs and patches at the top level, reproduction scripts anywhere. */
  leftoverScripts: number;
  /** Files of tests that were deleted. */
  deletedTests: number;
  /** Files written anew: at least nine tenths of their lines were replaced, and they had some. */
  rewritten: number;
  /** Lines changed, and in no block of changes anything but whitespace. */
  whitespaceOnly: boolean;
  /** A line of the seed function was removed, or one was added inside it or right after its last line. */
  touchesTarget: boolean;
}

/** Says of what kind a file of a patch is. */
export type KindJudge = (file: Pick<PatchFile, 'path' | 'binary'>) => FileKind;

/** Facts of a unified diff whose old side is the tree that `seedFunction` was found in. */
export function patchFacts(
  patch: string,
  seedFunction: FunctionRange,
  kindOf: KindJudge = fileKind,
): PatchFacts {
  const whitespace = watchWhitespace(patch);
  const rewrites = watchRewrites(patch);
  let touchesTarget = false;
  const files = readPatch(patch, (start, end, oldLine, hunk) => {
    const sign = patch[start];
    whitespace.onLine(start, end, hunk);
    rewrites.onLine(start, hunk);
    if ((hunk.file.oldPath ?? hunk.file.path) !== seedFunction.file) return;
    const { startLine, endLine } = seedFunction;
    touchesTarget ||= sign === '-' && oldLine >= startLine && oldLine <= endLine;
    touchesTarget ||= sign === '+' && oldLine > startLine && oldLine <= endLine + 1;
  });
  const kinds = Object.fromEntries(FILE_KINDS.map((kind) => [kind, 0])) as PatchFacts['kinds'];
  const facts = { added: 0, removed: 0, leftoverScripts: 0, deletedTests: 0 };
  for (const file of files) {
    facts.added += file.added;
    facts.removed += file.removed;
    const kind = kindOf(file);
    kinds[kind] += 1;
    if (isLeftover(file)) facts.leftoverScripts += 1;
    if (kind === 'tests' && file.newPath === null) facts.deletedTests += 1;
  }
  const hasLines = facts.added + facts.removed > 0;
  return {
    files: files.length,
    ...facts,
    kinds,
    rewritten: rewrites.count(),
    whitespaceOnly: hasLines && whitespace.isAll(),
    touchesTarget,
  };
}

/** What kind of file this is, judged by its path alone, but for binary ones. */
export function fileKind(file: Pick<PatchFile, 'path' | 'binary'>): FileKind {
  if (file.binary) return 'binary';
  const path = file.path.toLowerCase();
  const name = path.slice(path.lastIndexOf('/') + 1);
  const folders = path.split('/').slice(0, -1);
  const rule = RULES.find(
    ({ inFolder, named }) => named.test(name) || folders.some((folder) => inFolder.has(folder)),
  );
  return rule?.kind ?? 'source';
}

/** As `fileKind`, but for files that globs of a repository's own name, by kind. Throws RangeError for a glob that is none. */
export function createKindJudge(own: Partial<Record<FileKind, string[] | undefined>>): KindJudge {
  const rules = FILE_KINDS.flatMap((kind) => {
    const globs = own[kind] ?? [];
    return globs.length === 0 ? [] : [{ kind, matches: compileGlobs(globs) }];
  });
  return (file) => {
    const rule = file.binary ? undefined : rules.find(({ matches }) => matches(file.path));
    return rule?.kind ?? fileKind(file);
  };
}

// --- internal ---

const RULES: { kind: FileKind; inFolder: Set<string>; named: RegExp }[] = [
  {
    kind: 'lock',
    inFolder: new Set(),
    named: /\.lockb?$|^(?:package-lock\.json|npm-shrinkwrap\.json|pnpm-lock\.yaml|go\.sum)$/,
  },
  {
    kind: 'vendored',
    inFolder: new Set([
      'vendor',
      'vendored',
      '_vendor',
      'node_modules',
      'third_party',
      'third-party',
      'thirdparty',
      'site-packages',
    ]),
    named: /^$/,
  },
  {
    kind: 'generated',
    inFolder: new Set([
      'dist',
      'generated',
      '__generated__',
      '__pycache__',
      'coverage',
      '.pytest_cache',
    ]),
    named: /\.min\.(?:js|css)$|\.(?:map|pyc)$|\.pb\.go$|_pb2(?:_grpc)?\.pyi?$|[._]generated\./,
  },
  {
    kind: 'tests',
    inFolder: new Set(['test', 'tests', '__tests__', 'spec', 'specs', 'testdata', '__snapshots__']),
    named: /^test_|^conftest\.py$|[._-](?:test|tests|spec)\.[a-z]+$|\.snap$/,
  },
  {
    kind: 'docs',
    inFolder: new Set(['doc', 'docs']),
    named:
      /\.(?:md|mdx|rst|adoc)$|^(?:readme|changelog|changes|license|licence|authors|contributing)\b/,
  },
  {
    kind: 'config',
    inFolder: new Set(['.github', '.circleci', '.vscode']),
    named:
      /\.(?:toml|ya?ml|ini|cfg|json|properties)$|^\.|^(?:dockerfile|makefile|setup\.py)$|^requirements.*\.txt$|^go\.mod$/,
  },
];

const LEFT_BEHIND =
  /\.(?:py|[cm]?[jt]s|sh|rb|go|rs|pl|php|java|c|cpp|txt|log|out|patch|diff|orig|rej|bak)$/;
const REPRODUCTION =
  /(?:^|\/)(?:repro|reproduce|reproduction|debug|scratch|tmp|temp)(?:[-_.\d][^/]*)?$/;

function isLeftover({ path, oldPath }: PatchFile): boolean {
  if (oldPath !== null) return false;
  const lower = path.toLowerCase();
  return REPRODUCTION.test(lower) || (!lower.includes('/') && LEFT_BEHIND.test(lower));
}

/**
 * Watches whether removed and added lines that stand together differ in whitespace only. Blocks are compared, not files:
 * a line that moved is a change.
 */
function watchWhitespace(patch: string) {
  let removed = '';
  let added = '';
  let lastHunk: Hunk | undefined;
  let onlyWhitespace = true;
  const closeBlock = () => {
    onlyWhitespace &&= removed === added;
    removed = '';
    added = '';
  };
  return {
    onLine(start: number, end: number, hunk: Hunk): void {
      const sign = patch[start];
      const isContext = sign !== '+' && sign !== '-';
      if (isContext || hunk !== lastHunk) closeBlock();
      lastHunk = hunk;
      if (isContext || !onlyWhitespace) return;
      const text = patch.slice(start + 1, end).replace(/\s+/g, '');
      if (sign === '-') removed += text;
      else added += text;
    },
    isAll(): boolean {
      closeBlock();
      return onlyWhitespace;
    },
  };
}

/** Unchanged lines that a diff shows after a change, where the file has as many. */
const CONTEXT_LINES = 3;
const MIN_REWRITTEN_LINES = 5;
const MIN_REPLACED_SHARE = 0.9;

/** Watches for files of which one hunk, from the first line to the last, replaces nearly all. */
function watchRewrites(patch: string) {
  const hunks = new Map<PatchFile, { first: Hunk; isOnly: boolean; kept: number; trail: number }>();
  return {
    onLine(start: number, hunk: Hunk): void {
      let seen = hunks.get(hunk.file);
      if (seen === undefined) {
        hunks.set(hunk.file, (seen = { first: hunk, isOnly: true, kept: 0, trail: 0 }));
      }
      if (seen.first !== hunk) seen.isOnly = false;
      const isChange = patch[start] === '+' || patch[start] === '-';
      if (!isChange) seen.kept += 1;
      seen.trail = isChange ? 0 : seen.trail + 1;
    },
    count(): number {
      return [...hunks].filter(
        ([file, { first, isOnly, kept, trail }]) =>
          isOnly &&
          trail < CONTEXT_LINES &&
          first.oldStart === 1 &&
          first.oldCount >= MIN_REWRITTEN_LINES &&
          file.newPath !== null &&
          file.added > 0 &&
          kept <= first.oldCount * (1 - MIN_REPLACED_SHARE),
      ).length;
    },
  };
}
