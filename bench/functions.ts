/** How long finding every function of a folder takes, beside CPython's own parser in the same run. */

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { listFunctions } from '../repository/functions.ts';
import type { SourceFile } from '../repository/source-file.ts';

/** Parses and walks the same files, each let go of before the next; prints seconds of CPU time. */
const PEER = `
import ast, sys, time
paths = sys.stdin.read().split('\\0')
sources = [open(p, 'rb').read() for p in paths]
start, functions = time.process_time(), 0
for source in sources:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        continue
    functions += sum(isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) for n in ast.walk(tree))
print(time.process_time() - start, functions)
`;

/**
 * One figure for the Python files below a folder (by default Python's own library): seconds of CPU
 * time, so that a busy machine does not count, ours and the peer's where there is a python3.
 */
export async function benchFunctions(folder = pythonLibrary()): Promise<object[]> {
  if (folder === undefined) return [];
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.py') && !name.includes('site-packages'))
    .map((name) => path.join(folder, name));
  const files = paths.map((file): SourceFile => {
    return { path: path.relative(folder, file), mode: '100644', bytes: readFileSync(file) };
  });
  const lines = files.reduce((total, { bytes }) => total + bytes.toString().split('\n').length, 0);
  await count(files.slice(0, 20)); // loads the grammar
  const before = process.cpuUsage();
  const functions = await count(files);
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  return [
    {
      bench: 'functions',
      language: 'python',
      files: files.length,
      lines,
      functions,
      cpuSeconds: round(seconds),
      cpuSecondsPerMillionLines: round((seconds / lines) * 1e6),
      ...runPeer(paths),
    },
  ];
}

async function count(files: SourceFile[]): Promise<number> {
  let functions = 0;
  const all = { include: [], exclude: [], minLines: 1 };
  for await (const _ of listFunctions(each(files), all)) functions += 1;
  return functions;
}

async function* each(files: SourceFile[]): AsyncGenerator<SourceFile> {
  await Promise.resolve();
  yield* files;
}

function runPeer(paths: string[]): object {
  const printed = python(PEER, paths.join('\0'));
  if (printed === undefined) return {};
  const [seconds, functions] = printed.split(' ').map(Number);
  return { peer: 'cpython-ast', peerCpuSeconds: round(seconds ?? 0), peerFunctions: functions };
}

function pythonLibrary(): string | undefined {
  return python('import sysconfig; print(sysconfig.get_path("stdlib"))', '');
}

/** What a script prints, or undefined where there is no python3. */
function python(script: string, input: string): string | undefined {
  try {
    return execFileSync('python3', ['-c', script], { input, maxBuffer: 1e9 }).toString().trim();
  } catch {
    return undefined;
  }
}

function round(seconds: number): number {
  return Math.round(seconds * 100) / 100;
}
