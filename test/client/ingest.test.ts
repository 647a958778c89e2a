import { execFile } from 'node:child_process';
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ingest } from '../../client/ingest.ts';
import { loadConfig } from '../../client/load-config.ts';
import { openStore } from '../../store/open.ts';
import { createFolder, PYTHON_FILES } from '../support/repository-folder.ts';

let project: Awaited<ReturnType<typeof createFolder>>;
let work: Awaited<ReturnType<typeof createFolder>>;
beforeEach(async () => {
  project = await createFolder(PYTHON_FILES);
  work = await createFolder({});
});
afterEach(async () => {
  await rm(project.folder, { recursive: true, force: true });
  await work.remove();
});

const BASE = {
  name: 'kit',
  targets: { samples: 4 },
  teacher: { endpoints: [{ baseUrl: 'http://127.0.0.1:9/v1', model: 'm' }] },
};

/** Ingests the project with these values over the base; returns what was said as well. */
async function run(overrides: object = {}, samples?: number) {
  await writeFile(
    join(work.folder, 'twinpatch.yaml'),
    JSON.stringify({ ...BASE, repository: { source: project.folder }, ...overrides }),
  );
  const { config } = await loadConfig({ sets: [], cwd: work.folder });
  const store = await openStore(config.store);
  const said: string[] = [];
  const result = await ingest({
    config,
    store,
    cacheDir: join(work.folder, 'cache'),
    samples,
    onProgress: (line) => said.push(line),
  });
  const manifest = await store.batches.samples('kit', 0, 1000);
  return { ...result, store, manifest, said };
}

/** Every file of the store with its content's length and time. */
async function storeFiles(): Promise<string[]> {
  const root = join(work.folder, '.twinpatch', 'store');
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        const { ino, mtimeMs, size } = await stat(path);
        return `${path} ${ino} ${mtimeMs} ${size}`;
      }),
  );
}

describe('the first run', () => {
  it.each([
    ['mask', undefined, true],
    ['deny', 'deny', false],
  ] as const)(
    'T43: leaves no secret of the repository in the store: %s',
    async (_name, secrets, isKept) => {
      const token = ['ghp_', 'a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8'].join('');
      await writeFile(join(project.folder, '.env'), 'PLANTED=canary-in-env\n');
      await writeFile(join(project.folder, 'deploy.py'), `def deploy():\n    return "${token}"\n`);
      const { said } = await run({ repository: { source: project.folder, secrets } });
      expect(said.join('\n')).toContain('left out: .env: it is a file of keys');
      const files = (await storeFiles()).map((line) => line.split(' ')[0] ?? '');
      const contents = await Promise.all(files.map((file) => readFile(file, 'latin1')));
      const holds = (text: string) => contents.some((content) => content.includes(text));
      expect([holds(token), holds('canary-in-env')]).toEqual([false, false]);
      expect(holds(`return "${'x'.repeat(token.length)}"`)).toBe(isKept);
      expect(said.join('\n')).toContain('github-token');
    },
  );

  it('puts snapshot, functions, plan and pinned values into the store', async () => {
    const { batch, planned, appended, manifest, store, said } = await run();
    expect({ planned, appended }).toEqual({ planned: 4, appended: 4 });
    expect(batch).toMatchObject({
      id: 'kit',
      storeId: store.id,
      repository: project.folder,
      functions: { found: 4, eligible: 2 },
      simulated: false,
    });
    expect(await store.batches.get('kit')).toEqual(batch);
    expect(manifest.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(new Set(manifest.map(({ target }) => target.name))).toEqual(
      new Set(['wrap', 'Reader.read']),
    );
    const [commit] = batch.commits;
    expect(commit?.commit).toMatch(/^tree:/);
    expect(manifest.every(({ snapshot }) => snapshot === commit?.snapshot)).toBe(true);
    const tar = Buffer.from(await store.blobs.get(manifest[0]?.snapshot ?? 'sha256:'));
    expect(tar.includes('kit/io/files.py')).toBe(true);
    expect(said.at(-1)).toBe('batch kit: 4 samples planned');
  });

  it('marks what a scripted teacher makes as simulated', async () => {
    expect((await run({ teacher: { scripted: {} } })).batch.simulated).toBe(true);
  });

  it('takes a commit once, however many names it has', async () => {
    const git = (...args: string[]) =>
      promisify(execFile)('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {
        cwd: project.folder,
      });
    await git('init', '-q', '-b', 'main');
    await git('add', '.');
    await git('commit', '-qm', 'one');
    const { batch } = await run({
      repository: { source: project.folder, commits: ['HEAD', 'main'] },
    });
    expect(batch.commits).toMatchObject([
      { name: 'HEAD', commit: expect.stringMatching(/^[0-9a-f]{40}$/) },
    ]);
  });

  it('leaves no batch behind when nothing is eligible', async () => {
    const repository = { source: project.folder, exclude: ['kit'] };
    await expect(run({ repository })).rejects.toThrow('No function is eligible');
    const store = await openStore(join(work.folder, '.twinpatch', 'store'));
    expect(await store.batches.get('kit')).toBeUndefined();
  });
});

describe('the same name again', () => {
  it('writes nothing and needs no repository when nothing changed', async () => {
    await run();
    await rm(project.folder, { recursive: true });
    const before = await storeFiles();
    const { planned, appended, said } = await run();
    expect({ planned, appended, said }).toEqual({ planned: 4, appended: 0, said: [] });
    expect(await storeFiles()).toEqual(before);
  });

  it('appends more samples to the same plan, whatever became of the repository', async () => {
    const { manifest: first } = await run();
    await writeFile(join(project.folder, 'kit', 'text.py'), 'def other():\n    pass\n');
    const { batch, planned, appended, manifest } = await run({}, 9);
    expect({ planned, appended }).toEqual({ planned: 9, appended: 5 });
    expect(manifest.slice(0, 4)).toEqual(first);
    expect(batch.config.targets.samples).toBe(9);
    await rm(project.folder, { recursive: true });
    expect(await run({}, 9)).toMatchObject({ planned: 9, appended: 0 });
  });

  it('plans the same samples at once as in two steps', async () => {
    await run();
    const { manifest: inSteps } = await run({}, 30);
    await rm(join(work.folder, '.twinpatch'), { recursive: true });
    const { manifest: atOnce } = await run({}, 30);
    expect(atOnce).toEqual(inSteps);
  });

  it('completes a manifest that a crash cut short', async () => {
    const { manifest: whole } = await run({}, 6);
    const page = join(work.folder, '.twinpatch/store/batches/kit/manifest/000000.jsonl');
    const lines = (await readFile(page, 'utf8')).split('\n');
    await writeFile(page, `${lines.slice(0, 2).join('\n')}\n`);
    const { appended, manifest } = await run({}, 6);
    expect(appended).toBe(4);
    expect(manifest).toEqual(whole);
  });

  it('at the same time makes one batch with one manifest', async () => {
    await run();
    const runs = await Promise.all([run({}, 1500), run({}, 1500), run({}, 1500)]);
    expect(runs.map(({ appended }) => appended).sort((a, b) => a - b)).toEqual([0, 0, 1496]);
    const { batch, store } = await run({}, 1500);
    expect(runs.map((each) => each.batch)).toEqual([batch, batch, batch]);
    const manifest = await store.batches.samples('kit', 0, 2000);
    expect(manifest.map(({ index }) => index)).toEqual(Array.from({ length: 1500 }, (_, n) => n));
  });

  it('takes over what does not determine the samples, and says so', async () => {
    const { batch: first } = await run();
    const { batch, appended, said } = await run({
      teacher: {
        endpoints: [
          {
            baseUrl: 'http://127.0.0.1:9/v1',
            model: 'm',
            apiKeyEnv: 'X_API_KEY',
            maxConcurrency: 4,
          },
          { baseUrl: 'http://127.0.0.1:8/v1', model: 'm' },
        ],
        price: { input: 1, output: 2 },
        callTimeout: '3m',
      },
      budget: { maxCostUsd: 5 },
    });
    expect(appended).toBe(0);
    expect(said).toEqual([
      'batch kit takes over budget.maxCostUsd: unset → 5',
      'batch kit takes over teacher.callTimeout: 10m → 3m',
      expect.stringContaining('batch kit takes over teacher.endpoints: [{"baseUrl":'),
      'batch kit takes over teacher.price.input: unset → 1',
      'batch kit takes over teacher.price.output: unset → 2',
    ]);
    expect(batch.config.teacher.endpoints).toHaveLength(2);
    expect({ ...batch, config: null }).toEqual({ ...first, config: null });
  });

  it('lets a cap of the configuration replace one that was set before, but only when it is another', async () => {
    const price = { input: 1, output: 2 };
    const withCap = (maxCostUsd: number) =>
      run({ teacher: { ...BASE.teacher, price }, budget: { maxCostUsd } });
    const { store } = await withCap(5);
    await store.tunings.change('kit', { maxCostUsd: 50, window: 4 });
    await withCap(5);
    expect(await store.tunings.read('kit')).toEqual({ maxCostUsd: 50, window: 4 });
    await withCap(10);
    expect(await store.tunings.read('kit')).toEqual({ window: 4 });
  });

  it('goes on in a repository that was moved, and refuses another one', async () => {
    await run();
    const elsewhere = join(work.folder, 'moved');
    await rename(project.folder, elsewhere);
    const moved = await run({ repository: { source: './moved' } });
    expect(moved).toMatchObject({
      appended: 0,
      said: [`batch kit takes over repository.source: ${project.folder} → ${elsewhere}`],
    });
    expect(moved.batch.config.repository.source).toBe(elsewhere);
    await writeFile(join(elsewhere, 'kit', 'text.py'), 'def other():\n    pass\n');
    await rename(elsewhere, project.folder);
    await expect(run()).rejects.toMatchObject({
      exitCode: 3,
      message: expect.stringContaining(
        `  repository.source: ${elsewhere} → ${project.folder}, which lacks the commits of the batch`,
      ) as string,
    });
  });

  it.each([
    [{ targets: { samples: 4, seed: 8 } }, 'targets.seed: 7 → 8'],
    [{ targets: { samples: 3 } }, 'targets.samples: 4 → 3'],
    [{ targets: { samples: 9, minLines: 6 } }, 'targets.minLines: 4 → 6'],
    [{ rollout: { commandTimeout: '90s' } }, 'rollout.commandTimeout: 5m → 90s'],
    [{ rollout: { maxPatchSize: '1KB' } }, 'rollout.maxPatchSize: 1MiB → 1000B'],
    [{ environment: { memory: '3GiB' } }, 'environment.memory: 2GiB → 3GiB'],
    [{ environment: { setup: ['make'] } }, 'environment.setup: [] → ["make"]'],
    [
      { teacher: { endpoints: [{ baseUrl: 'http://127.0.0.1:9/v1', model: 'n' }] } },
      'teacher.model: ["m"] → ["n"]',
    ],
    [
      {
        teacher: { endpoints: [{ baseUrl: 'http://127.0.0.1:9/v1', model: 'm', temperature: 1 }] },
      },
      'teacher.endpoints: [] → ["{\\"model\\":\\"m\\",\\"temperature\\":1}"]',
    ],
    [
      { prompts: { instructions: { add: { mine: '{{ function }} {{ file }}' } } } },
      'prompts.instructions.add.mine: unset → {{ function }} {{ file }}',
    ],
  ])('refuses %j, naming the key with both values', async (overrides, change) => {
    await run();
    const before = await storeFiles();
    await expect(run(overrides)).rejects.toMatchObject({
      exitCode: 3,
      message: `batch kit was started with other values — the same name is the same batch:\n  ${change}`,
      next: 'use another --name, or set these values back',
    });
    expect(await storeFiles()).toEqual(before);
  });
});
