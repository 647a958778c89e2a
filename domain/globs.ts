/** Globs over paths: `*` and `?` within a name, `**` over folders, `{a,b}`, `[abc]`. */

/**
 * A test for paths that at least one glob matches; a glob that names a folder matches what is in it.
 * An empty list matches nothing. Throws RangeError for a glob that is no glob.
 */
export function compileGlobs(globs: readonly string[]): (path: string) => boolean {
  const patterns = globs.map(toPattern);
  return (path) => patterns.some((pattern) => pattern.test(path));
}

// --- internal ---

const TOKEN = /\*\*\/|\*\*|\*|\?|\[!?[^\]/]+\]|\{|\}|,|[^]/gu;

function toPattern(glob: string): RegExp {
  let depth = 0;
  const body = glob
    .replace(/^\.?\//, '')
    .replace(/\/$/, '')
    .replace(TOKEN, (token) => {
      if (token === '{') depth += 1;
      if (token === '}') depth -= 1;
      return toExpression(token, depth);
    });
  if (depth !== 0)
    throw new RangeError(`the braces of the glob ${JSON.stringify(glob)} don't match`);
  try {
    return new RegExp(`^${body}(?:/.*)?$`, 'su');
  } catch (cause) {
    throw new RangeError(`${JSON.stringify(glob)} is no glob`, { cause });
  }
}

function toExpression(token: string, depth: number): string {
  switch (token) {
    case '**/':
      return '(?:.*/)?';
    case '**':
      return '.*';
    case '*':
      return '[^/]*';
    case '?':
      return '[^/]';
    case '{':
      return '(?:';
    case '}':
      return ')';
    case ',':
      return depth > 0 ? '|' : ',';
    default:
      return token.length > 2 && token.startsWith('[')
        ? `[${token.slice(1, -1).replace(/^!/, '^').replaceAll('\\', '\\\\')}]`
        : token.replace(/[\\^$.|()[\]+/-]/, '\\$&');
  }
}
