/**
 * Builds `dist/`: compiled sources, grammars, the executable bit of the command, the workflow bundle.
 * `--grammars` copies the grammars only, which is all that running from source needs.
 * Without sources (an installed package) there is nothing to build; without the development
 * dependencies it says so and leaves everything as it is.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const root = path.resolve(import.meta.dirname, '..');
const { resolve } = createRequire(import.meta.url);

/** Grammars by the package that ships them. */
const GRAMMARS = {
  'tree-sitter-python': ['tree-sitter-python.wasm'],
  'tree-sitter-javascript': ['tree-sitter-javascript.wasm'],
  'tree-sitter-typescript': ['tree-sitter-typescript.wasm', 'tree-sitter-tsx.wasm'],
  'tree-sitter-go': ['tree-sitter-go.wasm'],
};

/**
 * Where an installed package stands, or undefined when it is not installed.
 * @param {string} name
 */
function packageFolder(name) {
  try {
    return path.dirname(resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

/** Copies every grammar to the folders that the code looks in, from source and from `dist`. */
function copyGrammars() {
  for (const target of ['repository/grammars', 'dist/repository/grammars']) {
    mkdirSync(path.join(root, target), { recursive: true });
    for (const [name, files] of Object.entries(GRAMMARS)) {
      const folder = packageFolder(name);
      if (folder === undefined) throw new Error(`${name} is not installed: run \`npm ci\``);
      for (const file of files) {
        copyFileSync(path.join(folder, file), path.join(root, target, file));
      }
    }
  }
}

async function build() {
  if (!existsSync(path.join(root, 'tsconfig.build.json'))) return 0;
  const typescript = packageFolder('typescript');
  if (typescript === undefined) {
    console.error('build: left out, the development dependencies are not installed (`npm ci`)');
    return 0;
  }
  copyGrammars();
  if (process.argv.includes('--grammars')) return 0;

  const tsc = path.join(typescript, 'bin', 'tsc');
  const compiled = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (compiled.status !== 0) return compiled.status ?? 1;

  const command = path.join(root, 'dist/client/cli.js');
  if (existsSync(command)) chmodSync(command, 0o755);
  const bundler = path.join(root, 'dist/worker/build-bundle.js');
  if (existsSync(bundler)) {
    const { buildBundle } = await import(pathToFileURL(bundler).href);
    await buildBundle(path.join(root, 'dist/worker/workflows.bundle.js'));
  }
  writeFileSync(path.join(root, 'dist/.built'), '');
  return 0;
}

process.exitCode = await build();
