/** What the scripted teacher knows of each language: how functions begin, comments, a syntax check. */

import { extname } from 'node:path/posix';

/** Languages of one family share their syntax as far as an edit needs it. */
export type Family = 'python' | 'script' | 'go';

interface Language {
  comment: string;
  /** Indentation of a body that has no line to copy it from. */
  indent: string;
  /** Patterns of a definition, best first; `NAME` stands for the name. */
  definitions: string[];
  /** Command that checks the syntax of a quoted path without writing a file. */
  check(path: string): string;
}

export const LANGUAGES: Record<Family, Language> = {
  python: {
    comment: '#',
    indent: '    ',
    definitions: ['^\\s*(async\\s+)?def\\s+NAME\\s*[\\[(]'],
    check: (path) =>
      `python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' ${path} && echo fine`,
  },
  script: {
    comment: '//',
    indent: '  ',
    definitions: [
      '^\\s*(export\\s+)?(default\\s+)?(async\\s+)?function\\s*\\*?\\s*NAME(?![\\w$]).*[^;]$',
      '^\\s*(export\\s+)?(const|let|var)\\s+NAME(?![\\w$])[^=]*=\\s*(async\\s*)?(function|\\(|[\\w$]+\\s*=>|$)',
      '^\\s*((public|private|protected|static|async|override|get|set)\\s+)*\\*?\\s*NAME\\s*(<.*>)?\\((.*[{(,])?$',
      '[\\s.]NAME\\s*[=:]\\s*(async\\s*)?(function|\\(|\\w+\\s*=>)',
      '(function\\s*\\*?|const|let|var)\\s*NAME(?![\\w$])',
    ],
    check: (path) =>
      `command -v node >/dev/null && node --check ${path} || echo 'no way to check it here'`,
  },
  go: {
    comment: '//',
    indent: '\t',
    definitions: ['^func\\s+(\\([^)]*\\)\\s*)?NAME\\s*[\\[(]'],
    check: (path) =>
      `command -v gofmt >/dev/null && gofmt -l ${path} || echo 'no way to check it here'`,
  },
};

/** By the extension; what is unknown is taken for a script language. */
export function familyOf(file: string): Family {
  const extension = extname(file);
  if (extension === '.py' || extension === '.pyi') return 'python';
  return extension === '.go' ? 'go' : 'script';
}
