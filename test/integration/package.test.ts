/** The package as npm installs it elsewhere: what is in it, and that its command runs there. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

describe('the tarball of npm pack', () => {
  let folder: string;
  let files: string[];
  const installed = () => join(folder, 'node_modules/twinpatch');

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'twinpatch-installed-'));
    npm(ROOT, 'pack', '--ignore-scripts', '--pack-destination', folder);
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
    writeFileSync(join(folder, 'package.json'), '{"private":true}');
    npm(folder, 'install', '--ignore-scripts', '--prefer-offline', '--no-audit', `./${tarball}`);
    files = readdirSync(installed(), { recursive: true, encoding: 'utf8' });
  });

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('holds what is run and read, and nothing of how it was made', () => {
    for (const needed of ['LICENSE', 'README.md', 'docs/configuration.md', 'dist/client/cli.js'])
      expect(files).toContain(needed);
    for (const architecture of ['x86_64', 'aarch64'])
      expect(files).toContain(`dist/guest/guestd-${architecture}`);
    expect(files.filter((file) => /\.(ts|c|h)$|^(test|bench)(\/|$)/.test(file))).toEqual([]);
  });

  it('names no folder of the machine it was made on', () => {
    const texts = files.filter((file) => /\.(js|mjs|json|md|yaml)$|guestd-/.test(file));
    for (const file of texts) {
      const text = withDecodedMap(readFileSync(join(installed(), file), 'utf8'));
      expect(text.includes(ROOT), file).toBe(false);
    }
  });

  it('has a command that tells its version and what it can do', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(twinpatch(['--version'])).toBe(`${version}\n`);
    expect(twinpatch(['--help'])).toContain('$ twinpatch init');
    expect(twinpatch(['--help'], ROOT)).toContain('$ twinpatch init');
  });

  it('lists functions of every language there', () => {
    const sources = join(folder, 'sources');
    mkdirSync(sources);
    writeFileSync(join(sources, 'a.py'), 'def first(x):\n    y = x\n    y += 1\n    return y\n');
    writeFileSync(join(sources, 'b.ts'), 'export function second(x: number) {\n  return x;\n}\n');
    writeFileSync(join(sources, 'c.jsx'), 'function third() {\n  return <a />;\n}\n');
    writeFileSync(join(sources, 'd.go'), 'package d\n\nfunc fourth() int {\n\treturn 1\n}\n');
    const lines = twinpatch(['functions', sources, '--json']).trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { name: string }).name)).toEqual([
      'first',
      'second',
      'third',
      'fourth',
    ]);
  });

  it('measures recall there', () => {
    const patch = `--- a/f\n+++ b/f\n@@ -1 +1 @@\n-one\n+two\n`;
    const input = `${JSON.stringify({ id: 'same', target: patch, produced: patch })}\n`;
    expect(JSON.parse(twinpatch(['recall', '--jsonl'], folder, input))).toMatchObject({
      id: 'same',
      exact: { recall: 1, targetLines: 2 },
      sera: { recall: 1 },
    });
  });

  function twinpatch(args: string[], cwd = folder, input = ''): string {
    return execFileSync('npx', ['--no-install', 'twinpatch', ...args], {
      cwd,
      input,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }
});

// --- internal ---

function npm(cwd: string, ...args: string[]): void {
  execFileSync('npm', args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
}

/** A source map inside a script is text as well. */
function withDecodedMap(text: string): string {
  const map = /sourceMappingURL=data:[^,]*;base64,([A-Za-z0-9+/=]+)/.exec(text)?.[1];
  return map === undefined ? text : text + Buffer.from(map, 'base64').toString('utf8');
}
