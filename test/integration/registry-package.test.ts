/** A real package that nobody here wrote, as a git repository whose own configuration is hostile. */

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FunctionRecord } from '../../repository/functions.ts';
import { createProduct, type Product, type Ran } from '../support/product.ts';

const PACKAGE = 'rich==13.9.4';
const SAMPLES = 4;

describe(`a batch of ${PACKAGE}, from a package registry`, () => {
  let folder: string;
  let repository: string;
  let product: Product;
  let ran: Ran;
  const marker = () => join(folder, 'payload-ran');

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'twinpatch-package-'));
    repository = join(folder, 'rich');
    python(['pip', 'download', '--quiet', '--no-deps', '--dest', folder, PACKAGE]);
    const wheel = readdirSync(folder).find((name) => name.endsWith('.whl')) ?? '';
    python(['zipfile', '-e', join(folder, wheel), repository]);
    commitTwice(repository);
    plantPayload(repository, marker());

    product = await createProduct();
    product.configure({
      name: 'package',
      repository: { source: repository, commits: ['HEAD', 'HEAD~1'] },
      environment: { memory: '256MiB', maxProcesses: 128 },
      targets: { samples: SAMPLES, seed: 5 },
      teacher: { scripted: { policies: { reproduce: 3, partial: 1 } } },
      rollout: { maxSteps: 14 },
    });
    ran = await product.run(['run', '--port', String(product.port), '--json']);
  });

  afterAll(async () => {
    await product?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('has more than 10,000 lines of code', () => {
    expect(pythonFiles(repository).flatMap((path) => linesOf(path)).length).toBeGreaterThan(10_000);
  });

  it('gives every sample a content verdict, and rows that pass the check', async () => {
    expect(ran).toMatchObject({ code: 0 });
    const state = JSON.parse(ran.stdout) as Record<string, number>;
    expect(state).toMatchObject({ planned: SAMPLES, unfinished: 0, held: 0, infrastructure: 0 });
    expect(state['accepted']).toBeGreaterThan(0);
    const exported = await product.run(['export', 'package', '--check', '--json']);
    expect(exported).toMatchObject({ code: 0 });
    const { t1, t2 } = JSON.parse(exported.stdout) as Record<'t1' | 't2', { rows: number }>;
    expect(t1.rows).toBeGreaterThan(0);
    expect(t2.rows).toBe(state['accepted']);
  });

  it('never runs what the configuration and the hooks of the repository ask for', async () => {
    await product.run(['functions', repository]);
    await product.run(['plan']);
    expect(existsSync(marker())).toBe(false);
    // The payload does work: git itself runs it.
    execFileSync('git', ['status'], { cwd: repository, stdio: 'ignore' });
    expect(existsSync(marker())).toBe(true);
  });

  it('is of both commits', async () => {
    const store = await product.store();
    const samples = await store.batches.samples('package', 0, SAMPLES);
    expect(new Set(samples.map(({ commit }) => commit)).size).toBe(2);
  });

  it('lists functions at the very lines where they are defined', async () => {
    const { stdout } = await product.run(['functions', repository, '--json']);
    const functions = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as FunctionRecord);
    expect(functions.length).toBeGreaterThan(500);
    const files = new Map<string, string[]>();
    for (const { file, name, startLine, endLine } of functions) {
      const last = name.split('.').at(-1) ?? '';
      const lines = files.get(file) ?? linesOf(join(repository, file));
      files.set(file, lines);
      expect(lines[startLine - 1]).toMatch(new RegExp(`^\\s*(async\\s+)?def\\s+${last}\\b`));
      expect(endLine).toBeGreaterThanOrEqual(startLine);
      expect(endLine).toBeLessThanOrEqual(lines.length);
    }
  });
});

// --- internal ---

function python(args: string[]): void {
  execFileSync('python3', ['-m', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
}

function commitTwice(repository: string): void {
  const git = (...args: string[]) =>
    execFileSync(
      'git',
      ['-c', 'user.name=t', '-c', 'user.email=t@localhost', '-c', 'gc.auto=0', ...args],
      { cwd: repository, stdio: ['ignore', 'ignore', 'pipe'] },
    );
  git('init', '-q');
  git('add', '-A');
  git('commit', '-q', '-m', 'one');
  const changed = join(repository, 'rich/align.py');
  writeFileSync(changed, `${readFileSync(changed, 'utf8')}\n\n# end\n`);
  git('commit', '-q', '-a', '-m', 'two');
}

/** Every way in which reading a repository could run something of it. */
function plantPayload(repository: string, marker: string): void {
  const payload = join(repository, '.git/payload');
  writeFileSync(payload, `#!/bin/sh\necho ran >> '${marker}'\ncat 2>/dev/null\n`);
  chmodSync(payload, 0o755);
  for (const hook of ['post-checkout', 'pre-commit', 'post-index-change', 'reference-transaction'])
    writeFileSync(join(repository, '.git/hooks', hook), readFileSync(payload), { mode: 0o755 });
  writeFileSync(
    join(repository, '.git/config'),
    [
      readFileSync(join(repository, '.git/config'), 'utf8'),
      `[core]\n\tfsmonitor = ${payload}\n\tsshCommand = ${payload}\n\tpager = ${payload}`,
      `[filter "all"]\n\tclean = ${payload}\n\tsmudge = ${payload}`,
      `[diff]\n\texternal = ${payload}`,
      `[uploadpack]\n\tpackObjectsHook = ${payload}\n`,
    ].join('\n'),
  );
  writeFileSync(join(repository, '.git/info/attributes'), '* filter=all\n');
}

function pythonFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.py'))
    .map((path) => join(folder, path));
}

function linesOf(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n');
}
