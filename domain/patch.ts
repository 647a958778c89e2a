/** Reads unified diffs by their structure: hunk headers' counts decide what is content. Linear in the patch's length. */

/** One file of a patch. */
export interface PatchFile {
  /** Path after the change; where the file is deleted, before it. Empty where a hunk stands without a file header. */
  path: string;
  /** Null where the file is new. */
  oldPath: string | null;
  /** Null where the file is deleted. */
  newPath: string | null;
  binary: boolean;
  /** Added lines, blank ones included. */
  added: number;
  /** Removed lines, blank ones included. */
  removed: number;
}

export interface Hunk {
  file: PatchFile;
  oldCount: number;
  newCount: number;
  /** First line of the hunk in the old file, from 1; of a pure insertion, the line it stands before. */
  oldStart: number;
}

/**
 * Receives one content line of a hunk, `patch[start, end)`, its sign (`+`, `-` or a space) first; an empty one is a context
 * line. `oldLine` is its line number in the old file, from 1; of an added line, the number of the old line it stands before.
 */
export type OnLine = (start: number, end: number, oldLine: number, hunk: Hunk) => void;

/**
 * The files of a unified diff, in order, with names decoded; every content line goes to `onLine` on the way. Prose around
 * diffs is ignored, and a line that does not fit its hunk's counts ends the hunk. Combined diffs (`@@@`) are not read.
 */
export function readPatch(patch: string, onLine?: OnLine): PatchFile[] {
  const header: HeaderState = { files: [], open: false, oldName: undefined };
  let position = 0;
  while (position < patch.length) {
    const end = lineEnd(patch, position);
    const counts = patch.startsWith('@@ -', position) ? readHunkHeader(patch, position, end) : null;
    if (counts) {
      const file = header.files.at(-1) ?? beginFile(header, '', '');
      header.open = false;
      settlePath(file);
      position = readHunk(patch, end + 1, { file, ...counts }, onLine);
    } else {
      readHeaderLine(header, patch.slice(position, end));
      position = end + 1;
    }
  }
  header.files.forEach(settlePath);
  return header.files;
}

/**
 * Hands every countable line of a patch to `onLine` as `patch[start, end)`, sign first: added and removed lines whose content
 * is not blank. Returns the files as `readPatch` does.
 */
export function changedLines(
  patch: string,
  onLine: (start: number, end: number, file: PatchFile) => void,
): PatchFile[] {
  return readPatch(patch, (start, end, _oldLine, { file }) => {
    const sign = patch.charCodeAt(start);
    if ((sign === PLUS || sign === MINUS) && !isBlank(patch, start + 1, end)) {
      onLine(start, end, file);
    }
  });
}

/** True where `text[start, end)` is nothing but whitespace as Python's `str.strip` knows it. */
export function isBlank(text: string, start: number, end: number): boolean {
  for (let index = start; index < end; index += 1) {
    if (!isPythonSpace(text.charCodeAt(index))) return false;
  }
  return true;
}

// --- internal ---

const PLUS = 0x2b;
const MINUS = 0x2d;
const SPACE = 0x20;
const BACKSLASH = 0x5c;
const HUNK_HEADER = /^@@ -(\d{1,15})(?:,(\d{1,15}))? \+(\d{1,15})(?:,(\d{1,15}))? @@/;
/** A header's numbers stand in its first characters; what follows is text of the file. */
const MAX_HUNK_HEADER_LENGTH = 80;

interface HeaderState {
  files: PatchFile[];
  /** The last file began with `diff --git` and has no hunk yet: header lines belong to it. */
  open: boolean;
  /** The name of a `---` line whose `+++` line must follow at once. */
  oldName: string | null | undefined;
}

function lineEnd(text: string, start: number): number {
  const end = text.indexOf('\n', start);
  return end === -1 ? text.length : end;
}

function readHunkHeader(patch: string, start: number, end: number): Omit<Hunk, 'file'> | null {
  const match = HUNK_HEADER.exec(patch.slice(start, Math.min(end, start + MAX_HUNK_HEADER_LENGTH)));
  if (!match) return null;
  const oldCount = Number(match[2] ?? 1);
  const newCount = Number(match[4] ?? 1);
  return { oldCount, newCount, oldStart: Number(match[1]) + (oldCount === 0 ? 1 : 0) };
}

/** Reads content from `start` on and returns where the hunk ends. */
function readHunk(patch: string, start: number, hunk: Hunk, onLine: OnLine | undefined): number {
  let { oldCount, newCount, oldStart: oldLine } = hunk;
  let position = start;
  while ((oldCount > 0 || newCount > 0) && position < patch.length) {
    const end = lineEnd(patch, position);
    const first = position === end ? SPACE : patch.charCodeAt(position);
    if (first === PLUS && newCount > 0) {
      newCount -= 1;
      hunk.file.added += 1;
      onLine?.(position, end, oldLine, hunk);
    } else if (first === MINUS && oldCount > 0) {
      oldCount -= 1;
      hunk.file.removed += 1;
      onLine?.(position, end, oldLine, hunk);
      oldLine += 1;
    } else if (first === SPACE && oldCount > 0 && newCount > 0) {
      oldCount -= 1;
      newCount -= 1;
      onLine?.(position, end, oldLine, hunk);
      oldLine += 1;
    } else if (first !== BACKSLASH) {
      break;
    }
    position = end + 1;
  }
  return position;
}

function beginFile(header: HeaderState, oldPath: string | null, newPath: string | null): PatchFile {
  const file = { path: '', oldPath, newPath, binary: false, added: 0, removed: 0 };
  header.files.push(file);
  return file;
}

/** Called when the file's header is complete: its names come from up to four kinds of lines. */
function settlePath(file: PatchFile): void {
  file.path = file.newPath ?? file.oldPath ?? '';
}

/** Takes in one line that stands outside hunks. */
function readHeaderLine(header: HeaderState, rawLine: string): void {
  const line = rawLine.endsWith('\r') ? rawLine.slice(0, -1) : rawLine;
  const oldName = header.oldName;
  header.oldName = undefined;
  if (line.startsWith('diff --git ')) {
    beginFile(header, ...readGitNames(line.slice('diff --git '.length)));
    header.open = true;
  } else if (line.startsWith('--- ')) {
    header.oldName = readName(line.slice(4), 'a/');
  } else if (line.startsWith('+++ ') && oldName !== undefined) {
    const newName = readName(line.slice(4), 'b/');
    const file = header.files.at(-1);
    if (header.open && file) Object.assign(file, { oldPath: oldName, newPath: newName });
    else beginFile(header, oldName, newName);
    header.open = false;
  } else if (header.open) {
    readExtendedHeader(header.files.at(-1)!, line);
  }
}

function readExtendedHeader(file: PatchFile, line: string): void {
  if (line.startsWith('new file mode ')) file.oldPath = null;
  else if (line.startsWith('deleted file mode ')) file.newPath = null;
  else if (line.startsWith('Binary files ') || line === 'GIT binary patch') file.binary = true;
  else {
    const match = /^(?:rename|copy) (from|to) (.+)$/.exec(line);
    if (match) file[match[1] === 'from' ? 'oldPath' : 'newPath'] = decodeName(match[2]!);
  }
}

/** Both names of a `diff --git` line; unquoted names with spaces can be told apart only where they are the same. */
function readGitNames(text: string): [string, string] {
  const quotedEnd = text.startsWith('"') ? closingQuote(text) : -1;
  const middle = (text.length - 1) / 2;
  let split = quotedEnd === -1 ? text.indexOf(' "') : quotedEnd + 1;
  if (split === -1 && text[middle] === ' ') split = middle;
  if (split === -1 || text[split] !== ' ') split = text.indexOf(' b/');
  if (split === -1) return [text, text];
  return [
    stripPrefix(decodeName(text.slice(0, split)), 'a/'),
    stripPrefix(decodeName(text.slice(split + 1)), 'b/'),
  ];
}

/** The name of a `---` or `+++` line, without a time stamp; null for `/dev/null`. */
function readName(text: string, prefix: string): string | null {
  const name = text.startsWith('"')
    ? decodeName(text.slice(0, closingQuote(text) + 1))
    : text.split('\t', 1)[0]!;
  return name === '/dev/null' ? null : stripPrefix(name, prefix);
}

function stripPrefix(name: string, prefix: string): string {
  return name.startsWith(prefix) ? name.slice(prefix.length) : name;
}

function closingQuote(text: string): number {
  for (let index = 1; index < text.length; index += 1) {
    if (text[index] === '\\') index += 1;
    else if (text[index] === '"') return index;
  }
  return -1;
}

const ESCAPES: Record<string, number> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };

/** A name as git quotes it (C escapes, octal bytes of UTF-8), decoded; a name without quotes is returned as it is. */
function decodeName(name: string): string {
  if (name.length < 2 || !name.startsWith('"') || !name.endsWith('"')) return name;
  const bytes: number[] = [];
  for (const [, octal, escaped, plain] of name
    .slice(1, -1)
    .matchAll(/\\([0-3][0-7]{2})|\\([^])|([^\\]+)/g)) {
    if (octal !== undefined) bytes.push(Number.parseInt(octal, 8));
    else if (escaped !== undefined) bytes.push(ESCAPES[escaped] ?? escaped.charCodeAt(0));
    else for (const byte of new TextEncoder().encode(plain)) bytes.push(byte);
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

function isPythonSpace(code: number): boolean {
  if (code < 0x80)
    return code === SPACE || (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x1f);
  return (
    code === 0x85 ||
    code === 0xa0 ||
    code === 0x1680 ||
    (code >= 0x2000 && code <= 0x200a) ||
    code === 0x2028 ||
    code === 0x2029 ||
    code === 0x202f ||
    code === 0x205f ||
    code === 0x3000
  );
}
