/**
 * The patch of a stopped sandbox. Contents leave it by the engine alone and become a commit in a fresh container of the pristine
 * image, beside that image's own repository: the sandbox's git, its configuration and its ignore rules have no say.
 */

import { REPOSITORY_PATH, readLabel } from '../domain/ids.ts';
import {
  EngineUnavailable,
  type ExtractCaps,
  type ExtractedPatch,
  type PatchExtractor,
  SandboxLost,
  type SandboxRef,
} from '../domain/ports.ts';
import {
  type EngineChange,
  folderOf,
  isGitPath,
  toFetches,
  toText,
  toTreeChanges,
} from './changes.ts';
import { type ChangedContent, toCommitStream } from './commit-stream.ts';
import { removeContainer, startContainer, stopContainer, toSandboxError } from './container.ts';
import { call, type Engine } from './engine.ts';
import { createCollector } from './exec.ts';
import { readTar, type TarEntry, TarRefused } from './tar-reader.ts';
import { createVerifier, type Verifier } from './verifier.ts';

/** Path length that every file system takes. */
const MAX_PATH_BYTES = 4096;
const VERIFIER_LIMITS = {
  memoryBytes: 2 * 1024 ** 3,
  cpus: 2,
  maxProcesses: 256,
  maxFileBytes: 4 * 1024 ** 3,
};

/** A cap that was passed: the whole patch is refused. */
class CapPassed extends Error {}

/** Extractor of one engine; its verifier containers carry the installation's labels. */
export function createExtractor(options: { engine: Engine; installation: string }): PatchExtractor {
  const { engine, installation } = options;
  return {
    /** Stops the sandbox if it runs. Throws SandboxLost, EngineUnavailable. Repeated, it gives the same. */
    async extract(sandbox, caps) {
      const deadline = Date.now() + caps.timeoutMs;
      const labels = await labelsOf(engine, sandbox);
      await stopContainer(engine, sandbox.container);
      const starting = startContainer(engine, {
        imageId: sandbox.imageId,
        labels: { installation, role: 'verifier', ...labels },
        limits: VERIFIER_LIMITS,
        network: false,
      });
      starting.catch(() => {}); // judged where it is awaited, after the list that is made meanwhile
      try {
        const listed = toTreeChanges(await listChanges(engine, sandbox.container, deadline));
        if (listed.present.length + listed.deleted.length + listed.unspelled.length === 0) {
          return { kind: 'empty' };
        }
        const capPassed = (reason: string) => new CapPassed(reason);
        const verifier = createVerifier(engine, await starting, deadline, capPassed);
        return await compare(engine, sandbox, listed, verifier, caps, deadline);
      } catch (error) {
        return judge(error, sandbox, caps, deadline);
      } finally {
        const verifier = await starting.catch(() => undefined);
        if (verifier !== undefined) await removeContainer(engine, verifier);
      }
    },
  };
}

// --- internal ---

/** A passed cap is a result; everything else is thrown in the contract's terms. */
function judge(
  error: unknown,
  sandbox: SandboxRef,
  caps: ExtractCaps,
  deadline: number,
): ExtractedPatch {
  if (error instanceof CapPassed) return { kind: 'oversized', reason: error.message };
  if (error instanceof EngineUnavailable && Date.now() >= deadline) {
    return {
      kind: 'oversized',
      reason: `the changes could not be read in ${caps.timeoutMs / 1000} s`,
    };
  }
  if (error instanceof TarRefused) {
    throw new SandboxLost(`The engine's archive of a sandbox holds ${error.message}.`, {
      cause: error,
    });
  }
  throw toSandboxError(error, sandbox.container);
}

async function compare(
  engine: Engine,
  sandbox: SandboxRef,
  listed: ReturnType<typeof toTreeChanges>,
  verifier: Verifier,
  caps: ExtractCaps,
  deadline: number,
): Promise<ExtractedPatch> {
  const budget = createBudget(caps);
  const fetch = (path: string, wanted: (path: string) => boolean) =>
    fetchTree(engine, sandbox.container, path, wanted, budget, deadline);

  const unspelled = new Map<string, Fetched>();
  for (const folder of listed.unspelled) {
    for (const [path, entry] of await fetch(folder, (inner) => toText(inner).includes('\uFFFD')))
      unspelled.set(path, entry);
  }
  const pristine = await verifier.look([...listed.present, ...unspelled.keys()]);
  const wanted = new Set(listed.present.filter((path) => !pristine.ignored.has(path)));
  for (const path of wanted) budget.checkPath(path);

  const fetched = new Map([...unspelled].filter(([path]) => !pristine.ignored.has(path)));
  for (const path of toFetches([...wanted])) {
    for (const [found, entry] of await fetch(path, (inner) => wanted.has(inner)))
      fetched.set(found, entry);
  }
  for (const [path, entry] of fetched) {
    // The other name of its content may be a path that did not change.
    if (entry.kind !== 'hardlink') continue;
    for (const [found, single] of await fetch(path, (inner) => inner === path))
      fetched.set(found, single);
  }

  const present: ChangedContent[] = [];
  const deleted = new Set(listed.deleted);
  for (const [path, entry] of fetched) {
    if (entry.kind === 'content') present.push({ path, mode: entry.mode, content: entry.content });
    // What is neither file, link nor folder is nothing to git: a file that became one is gone.
    else if (entry.kind !== 'folder') deleted.add(path);
    else if (pristine.tracked.has(path)) deleted.add(path);
  }
  const unspelledFolders = listed.unspelled.map((folder) => (folder === '' ? '' : `${folder}/`));
  for (const path of pristine.tracked) {
    if (!toText(path).includes('\uFFFD') || unspelled.has(path)) continue;
    if (unspelledFolders.some((folder) => path.startsWith(folder))) deleted.add(path);
  }
  // A file in whose place there is a folder now is gone, also when nothing in the folder counts.
  for (const path of listed.present) {
    for (let folder = folderOf(path); folder !== ''; folder = folderOf(folder)) {
      if (pristine.tracked.has(folder)) deleted.add(folder);
    }
  }
  present.sort((a, b) => (a.path < b.path ? -1 : 1));
  return verifier.diff(toCommitStream({ deleted: [...deleted].sort(), present }), caps.maxBytes);
}

type Fetched =
  | { kind: 'content'; mode: ChangedContent['mode']; content: Buffer }
  | { kind: 'hardlink' | 'folder' | 'other' };

type EngineStream = AsyncIterable<Buffer> & { destroy(error?: Error): void };

/** The wanted entries of a file or folder of the stopped container, by path. A path that is not there gives none. */
async function fetchTree(
  engine: Engine,
  container: string,
  path: string,
  wanted: (path: string) => boolean,
  budget: ReturnType<typeof createBudget>,
  deadline: number,
): Promise<Map<string, Fetched>> {
  const found = new Map<string, Fetched>();
  const leftMs = Math.max(1, deadline - Date.now());
  const stream = (await call(
    'archive',
    (abortSignal) =>
      engine.docker
        .getContainer(container)
        .getArchive({ path: `${REPOSITORY_PATH}/${toText(path)}`.replace(/\/$/, ''), abortSignal }),
    { timeoutMs: leftMs },
    // The engine's answer can be destroyed, which dockerode's type leaves out.
  )) as unknown as EngineStream;
  const timer = setTimeout(
    () => stream.destroy(new EngineUnavailable('The engine sent an archive too slowly.')),
    leftMs,
  );
  // The archive names the last part of the path asked for; for the repository itself that part is not ours.
  const parent = path.includes('/') ? path.slice(0, path.lastIndexOf('/') + 1) : '';
  const toPath = (name: string) =>
    path === '' ? name.split('/').slice(1).join('/') : parent + name;
  const isWanted = (entry: TarEntry) => {
    const inner = toPath(entry.name);
    if (inner === '' || isGitPath(inner) || !wanted(inner)) return false;
    budget.count(inner, entry);
    return true;
  };
  try {
    for await (const { entry, content } of readTar(stream, isWanted)) {
      const inner = toPath(entry.name);
      if (inner === '' || isGitPath(inner) || !wanted(inner)) continue;
      found.set(inner, toFetched(entry, content));
    }
    return found;
  } finally {
    clearTimeout(timer);
    stream.destroy();
  }
}

function toFetched(entry: TarEntry, content: Buffer | undefined): Fetched {
  switch (entry.type) {
    case 'file':
      return {
        kind: 'content',
        mode: entry.mode & 0o100 ? '100755' : '100644',
        content: content ?? Buffer.alloc(0),
      };
    case 'symlink':
      return { kind: 'content', mode: '120000', content: Buffer.from(entry.linkName, 'latin1') };
    case 'directory':
      return { kind: 'folder' };
    case 'hardlink':
      return { kind: 'hardlink' };
    case 'other':
      return { kind: 'other' };
  }
}

function createBudget(caps: ExtractCaps) {
  const counted = new Set<string>();
  let bytes = 0;
  const checkPath = (path: string) => {
    counted.add(path);
    if (counted.size > caps.maxEntries)
      throw new CapPassed(`more than ${caps.maxEntries} changed files`);
    if (path.split('/').length > caps.maxDepth)
      throw new CapPassed(`a change more than ${caps.maxDepth} folders deep`);
    if (path.length > MAX_PATH_BYTES)
      throw new CapPassed(`a changed path longer than ${MAX_PATH_BYTES} bytes`);
  };
  return {
    checkPath,
    /** Before any content of the entry is read. */
    count(path: string, entry: TarEntry): void {
      checkPath(path);
      bytes += entry.size;
      if (bytes > caps.maxBytes)
        throw new CapPassed(`more than ${caps.maxBytes} bytes in changed files`);
    },
  };
}

/** A list of a million changes is a finding, not something to hold in memory. */
const MAX_LIST_BYTES = 64 * 1024 ** 2;

async function listChanges(
  engine: Engine,
  container: string,
  deadline: number,
): Promise<EngineChange[]> {
  const leftMs = Math.max(1, deadline - Date.now());
  const stream = await call(
    'changes',
    () =>
      new Promise<EngineStream>((resolve, reject) =>
        engine.docker.modem.dial(
          {
            path: `/containers/${container}/changes`,
            method: 'GET',
            isStream: true,
            statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
          },
          (error: Error | null, answer: unknown) =>
            error ? reject(error) : resolve(answer as EngineStream),
        ),
      ),
    { timeoutMs: leftMs },
  );
  const timer = setTimeout(
    () => stream.destroy(new EngineUnavailable('The engine listed changes too slowly.')),
    leftMs,
  );
  const list = createCollector(
    MAX_LIST_BYTES,
    () => new CapPassed('a list of changes of more than 64 MiB'),
  );
  try {
    for await (const piece of stream) list.add(piece);
  } finally {
    clearTimeout(timer);
    stream.destroy();
  }
  return (JSON.parse(list.bytes().toString('utf8')) as EngineChange[] | null) ?? [];
}

async function labelsOf(
  engine: Engine,
  sandbox: SandboxRef,
): Promise<{ batch?: string; sample?: string; rollout?: string }> {
  try {
    const { Config } = await call('container inspect', (abortSignal) =>
      engine.docker.getContainer(sandbox.container).inspect({ abortSignal }),
    );
    return Object.fromEntries(
      (['batch', 'sample', 'rollout'] as const).flatMap((name) => {
        const value = readLabel(Config.Labels, name);
        return value === undefined ? [] : [[name, value]];
      }),
    );
  } catch (error) {
    throw toSandboxError(error, sandbox.container);
  }
}
