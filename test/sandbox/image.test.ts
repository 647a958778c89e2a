import { afterAll, describe, expect, it } from 'vitest';

import { toEngineLabels } from '../../domain/ids.ts';
import { ImageError, type ImageSpec, type Sandbox } from '../../domain/ports.ts';
import { connectEngine } from '../../sandbox/engine.ts';
import { createImages, preparedTag } from '../../sandbox/image.ts';
import { createSandboxes } from '../../sandbox/sandboxes.ts';
import { INITIAL_SHELL } from '../../sandbox/shell.ts';
import { DEFAULT_IMAGE } from '../../domain/config.ts';
import { LIMITS, type TreeFile, toTar, uniqueName } from '../support/sandbox-fixture.ts';

const installation = uniqueName('image');
const engine = await connectEngine();
const images = createImages(engine, { installation });
const sandboxes = createSandboxes({ engine, installation });
const signal = new AbortController().signal;
let keys = 0;

function specOf(
  tree: Record<string, string | Buffer | TreeFile>,
  options: Partial<ImageSpec> = {},
): ImageSpec {
  return {
    key: `${installation}-${keys++}`,
    base: { image: DEFAULT_IMAGE },
    snapshot: async () => toTar(tree),
    setup: [],
    limits: LIMITS,
    setupTimeoutMs: 60_000,
    ...options,
  };
}

async function inside<T>(
  imageId: string,
  work: (run: (command: string) => Promise<string>) => Promise<T>,
): Promise<T> {
  const rollout = `b/s/rollout-1.${keys++}`;
  const sandbox: Sandbox = await sandboxes.start(
    { imageId, limits: LIMITS, epoch: 1, labels: { batch: 'b', sample: 's', rollout } },
    signal,
  );
  let requests = 0;
  try {
    return await work(async (command) => {
      const request = {
        id: `${rollout}/${requests++}`,
        shell: INITIAL_SHELL,
        timeoutMs: 30_000,
        maxOutputBytes: 100_000,
      };
      return (await sandbox.run({ ...request, command })).output;
    });
  } finally {
    await sandbox.close();
  }
}

afterAll(async () => {
  await sandboxes.removeAll();
  await sandboxes.removeImages((await sandboxes.listImages()).map(({ id }) => id));
  await sandboxes.removeVolumes();
});

describe('a prepared image', () => {
  it('T50: holds one commit of exactly the tree, and nothing of any earlier history', async () => {
    const { imageId } = await images.prepare(
      specOf({
        'a.py': 'print(1)\n',
        'src/b.txt': 'b\r\n',
        'run.sh': { content: '#!/bin/sh\n', mode: 0o755 },
        link: { link: 'a.py' },
        '.gitignore': 'tracked.log\n',
        'tracked.log': 'ignored, and in the snapshot\n',
        '.git/config': '[core]\n\tfsmonitor = touch /tmp/pwned\n',
        'vendor/lib/.git/HEAD': 'ref: refs/heads/answer\n',
        'vendor/lib/code.c': 'int x;\n',
        '.gitattributes': '*.txt text eol=lf\n*.py filter=evil\n',
      }),
      signal,
    );
    await inside(imageId, async (run) => {
      expect(
        await run(
          'git rev-list --all --reflog --count; git status --porcelain; git remote; git stash list; ls .git/hooks .git/logs 2>/dev/null | grep -v ":$"',
        ),
      ).toBe('1\n');
      const files =
        '.gitattributes .gitignore a.py link run.sh src/b.txt tracked.log vendor/lib/code.c';
      expect(await run('git ls-tree -r --name-only HEAD | tr "\\n" " "')).toBe(`${files} `);
      expect(
        await run(
          'git cat-file --batch-all-objects --batch-check="%(objecttype) %(objectname)" | sort',
        ),
      ).toBe(
        await run(
          '{ git ls-tree -r -t HEAD | cut -f1 | cut -d" " -f2,3; echo "tree $(git rev-parse HEAD^{tree})"; echo "commit $(git rev-parse HEAD)"; } | sort -u',
        ),
      );
      expect(await run('git show HEAD:src/b.txt | od -c | head -1')).toContain('b  \\r  \\n');
      expect(await run('git ls-tree -r HEAD | cut -c1-6 | sort | uniq -c | tr -s " "')).toBe(
        ' 6 100644\n 1 100755\n 1 120000\n',
      );
      expect(await run('find . -name .git; ls /tmp')).toBe('./.git\n');
    });
  });

  it('T36: belongs to the agent, who can commit in it', async () => {
    const { imageId } = await images.prepare(specOf({ 'a.txt': 'a\n' }), signal);
    await inside(imageId, async (run) => {
      expect(
        await run('find . ! -user 1000; stat -c %u:%g "$HOME"; cd; touch x && echo writable'),
      ).toBe('1000:1000\nwritable\n');
      expect(
        await run('echo b >>a.txt; git commit -qam "Change it" && git log --format=%an,%s'),
      ).toBe('agent,Change it\ntwinpatch,Snapshot\n');
    });
  });

  it('gives the same commit for the same tree', async () => {
    const tree = { 'a.txt': 'a\n', 'd/b.txt': 'b\n' };
    const ids = await Promise.all([
      images.prepare(specOf(tree), signal),
      images.prepare(specOf(tree), signal),
    ]);
    const [first, second] = await Promise.all(
      ids.map(({ imageId }) => inside(imageId, (run) => run('git rev-parse HEAD'))),
    );
    expect(first).toMatch(/^[0-9a-f]{40}\n$/);
    expect(second).toBe(first);
  });

  it('T51: keeps no cache of earlier runs and no time of change', async () => {
    const { imageId } = await images.prepare(
      specOf(
        {
          'pkg/__pycache__/m.cpython-311.pyc': 'answer',
          '.pytest_cache/v/cache/lastfailed': '{}',
          'pkg/m.py': 'x = 1\n',
        },
        {
          setup: [
            'python3 -c "import sys; sys.path.insert(0, \'pkg\'); import m"',
            'mkdir -p build; echo made >build/out',
          ],
        },
      ),
      signal,
    );
    await inside(imageId, async (run) => {
      expect(await run('find . -name __pycache__ -o -name .pytest_cache')).toBe('');
      expect(await run('find . -path ./.git -prune -o -printf "%TY\\n" | sort -u')).toBe('2000\n');
      expect(await run('git status --porcelain; cat build/out; stat -c %u build/out')).toBe(
        'made\n1000\n',
      );
    });
  });

  it('T51: leaves a fresh sandbox without any change against it', async () => {
    const { imageId } = await images.prepare(specOf({ 'a.txt': 'a\n' }), signal);
    const sandbox = await sandboxes.start(
      {
        imageId,
        limits: LIMITS,
        epoch: 1,
        labels: { batch: 'b', sample: 's', rollout: 'b/s/rollout-2.1' },
      },
      signal,
    );
    const changes: { Path: string }[] = await engine.docker
      .getContainer(sandbox.ref.container)
      .changes();
    await sandbox.close();
    // Where its guest is mounted.
    expect(changes.map(({ Path }) => Path)).toEqual(['/.twinpatch']);
  });
});

describe('preparing', () => {
  it('F16: builds once for callers of the same key, and not at all when it is there', async () => {
    let snapshots = 0;
    const spec = specOf({});
    spec.snapshot = async () => {
      snapshots++;
      return toTar({ 'a.txt': 'a\n' });
    };
    const results = await Promise.all(
      Array.from({ length: 8 }, () => images.prepare(spec, signal)),
    );
    expect(new Set(results.map(({ imageId }) => imageId)).size).toBe(1);
    expect(results.filter(({ built }) => built)).toHaveLength(1);
    expect(snapshots).toBe(1);
    expect(await createImages(engine, { installation }).prepare(spec, signal)).toEqual({
      imageId: results[0]?.imageId,
      warnings: [],
      built: false,
    });
    const { RepoTags, Config } = await engine.docker
      .getImage(preparedTag(installation, spec.key))
      .inspect();
    expect(RepoTags).toContain(preparedTag(installation, spec.key));
    expect(Config.Labels).toMatchObject(toEngineLabels({ installation, role: 'image' }));
  });

  it('names an image that is nowhere, and what to do', async () => {
    const work = images.prepare(
      specOf({}, { base: { image: '127.0.0.1:1/no/such-image:1' } }),
      signal,
    );
    await expect(work).rejects.toMatchObject({ name: 'ImageError', kind: 'not-found' });
    await expect(work).rejects.toThrow(/no\/such-image:1.*docker pull.*environment\.image/s);
  });

  it('shows the end of what a failing set-up command wrote, and leaves nothing behind', async () => {
    const work = images.prepare(
      specOf({ 'a.txt': 'a\n' }, { setup: ['true', 'seq 1 100000; echo the reason >&2; exit 9'] }),
      signal,
    );
    await expect(work).rejects.toBeInstanceOf(ImageError);
    await expect(work).rejects.toMatchObject({ kind: 'build-failed' });
    await expect(work).rejects.toThrow(/environment\.setup\[1\].*code 9:[^]*100000\nthe reason/);
    await expect(work).rejects.toSatisfy((error: Error) => error.message.length < 4096);
    expect((await sandboxes.list()).filter(({ labels }) => labels.role === 'prepare')).toEqual([]);
  });

  it('T61: ends a set-up that takes too long', async () => {
    const work = images.prepare(
      specOf({ 'a.txt': 'a\n' }, { setup: ['sleep 300'], setupTimeoutMs: 1500 }),
      signal,
    );
    await expect(work).rejects.toThrow(/environment\.setup\[0\].*1\.5 s/);
    expect((await sandboxes.list()).filter(({ labels }) => labels.role === 'prepare')).toEqual([]);
  });

  it.each([
    [
      'of Python',
      '/opt/lib/in_ventory-2.0.1.dist-info',
      'mkdir -p /opt/lib/in_ventory-2.0.1.dist-info',
    ],
    ['of npm', '/testbed/node_modules/@own/inventory', 'mkdir -p node_modules/@own/inventory'],
  ])(
    "T54: warns of a copy %s of the repository's own package, also when the image is found again",
    async (_, path, command) => {
      const tree = {
        'pyproject.toml': '[project]\nname = "In.Ventory"\n',
        'package.json': '{\n  "name": "@own/inventory"\n}\n',
      };
      const spec = specOf(tree, { setup: [command] });
      const warnings = [expect.stringContaining(`package in ${path}: `)];
      expect(await images.prepare(spec, signal)).toMatchObject({ built: true, warnings });
      expect(await images.prepare(spec, signal)).toMatchObject({ built: false, warnings });
    },
  );

  it('T54: takes one that is installed in place for none, and other packages', async () => {
    const folder = '/opt/lib/inventory-1.0.dist-info';
    const setup = [
      `mkdir -p ${folder} /opt/lib/inventory_tools-1.0.dist-info`,
      `echo '{"dir_info": {"editable": true}, "url": "file:///testbed"}' >${folder}/direct_url.json`,
      'mkdir -p node_modules/other; ln -s .. node_modules/inventory',
    ];
    const tree = {
      'setup.cfg': '[metadata]\nname = inventory\n',
      'package.json': '{"name": "inventory"}',
    };
    expect(await images.prepare(specOf(tree, { setup }), signal)).toMatchObject({ warnings: [] });
  });

  it('builds on a Dockerfile of the user', async () => {
    const { imageId } = await images.prepare(
      specOf(
        { 'a.txt': 'a\n' },
        {
          base: {
            dockerfile: `FROM ${DEFAULT_IMAGE}\nENV TOOLCHAIN=/opt/x LD_PRELOAD=\nRUN echo made >/made\nUSER nobody\nENTRYPOINT ["false"]\n`,
          },
        },
      ),
      signal,
    );
    await inside(imageId, async (run) =>
      expect(await run('cat /made; echo $TOOLCHAIN; id -u')).toBe('made\n/opt/x\n1000\n'),
    );
    const failing = images.prepare(
      specOf(
        {},
        { base: { dockerfile: `FROM ${DEFAULT_IMAGE}\nRUN echo why it fails; exit 4\n` } },
      ),
      signal,
    );
    await expect(failing).rejects.toThrow(/Dockerfile[^]*why it fails/);
  });

  it('stops waiting when the caller does, and finishes for the others', async () => {
    const abort = new AbortController();
    const spec = specOf({ 'a.txt': 'a\n' });
    const first = images.prepare(spec, abort.signal);
    const second = images.prepare(spec, signal);
    setTimeout(() => abort.abort(new Error('drained')), 200);
    await expect(first).rejects.toThrow('drained');
    expect((await second).imageId).toMatch(/^sha256:/);
  });
});
