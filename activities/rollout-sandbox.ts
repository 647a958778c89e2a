/** The sandbox of a rollout's new owner: the one before it, its last saved tree in another one, or a fresh one. */

import type {
  JournalEntry,
  Mark,
  PreparedSandbox,
  Sandboxes,
  SandboxRef,
  SandboxSpec,
} from '../domain/ports.ts';
import type { SegmentJournal } from '../domain/store.ts';

/**
 * A sandbox, and in the journal the mark that says what it is and which earlier entries count. Throws what `Sandboxes` and the
 * journal do, leaving no container that nobody knows of.
 */
export async function obtainSandbox(
  sandboxes: Sandboxes,
  journal: SegmentJournal,
  spec: SandboxSpec,
  signal: AbortSignal,
): Promise<PreparedSandbox> {
  if (spec.epoch > 1) {
    const taken =
      (await takeOver(sandboxes, journal, spec)) ??
      (await restore(sandboxes, journal, spec, signal));
    if (taken !== undefined) return taken;
  }
  const sandbox = await sandboxes.start(spec, signal);
  return closingOnFailure(sandbox, async () => {
    await journal.append({ kind: 'mark', mark: 'started', sandbox: sandbox.ref, at: now() });
    return sandbox;
  });
}

/** Steps whose effects no saved tree has. */
export function unsavedSteps(entries: JournalEntry[]): number {
  const last = entries.findLastIndex(
    (entry) => marks(entry, 'started') || marks(entry, 'restored') || marks(entry, 'saved'),
  );
  return entries.slice(last + 1).filter(({ kind }) => kind === 'reply').length;
}

/** When the rollout began, in milliseconds since 1970. */
export function startOf(entries: JournalEntry[]): number {
  const start = entries.find((entry) => marks(entry, 'started'));
  return start === undefined ? Date.now() : Date.parse(start.at);
}

// --- internal ---

/** The container of the owner before, with all that it had done; undefined where either is missing. */
async function takeOver(
  sandboxes: Sandboxes,
  journal: SegmentJournal,
  { labels: { rollout }, epoch, limits }: SandboxSpec,
): Promise<PreparedSandbox | undefined> {
  const sandbox = await sandboxes.find(rollout, epoch, limits);
  if (sandbox === undefined) return undefined;
  try {
    // Read only now, when nobody else can do anything in the container.
    const before = await journal.before();
    if (before === undefined || lastSandbox(before.entries)?.container !== sandbox.ref.container) {
      await sandbox.close();
      return undefined;
    }
    const { epoch: from, entries } = before;
    const mark = { epoch: from, entries: entries.length, at: now() };
    await journal.append({ kind: 'mark', mark: 'continued', ...mark });
    return sandbox;
  } catch (error) {
    sandbox.leave();
    throw error;
  }
}

/** A fresh container with the tree that was saved last, and what counted until then; undefined where there is none. */
async function restore(
  sandboxes: Sandboxes,
  journal: SegmentJournal,
  spec: SandboxSpec,
  signal: AbortSignal,
): Promise<PreparedSandbox | undefined> {
  const before = await journal.before();
  const last = before?.entries.findLastIndex((entry) => marks(entry, 'saved')) ?? -1;
  const saved = before?.entries[last];
  if (before === undefined || saved === undefined || !marks(saved, 'saved')) return undefined;
  if (lastSandbox(before.entries)?.imageId !== spec.imageId) return undefined;
  const tree = await journal.readTree(saved.tree);
  if (tree === undefined) return undefined;
  const sandbox = await sandboxes.start(spec, signal);
  return closingOnFailure(sandbox, async () => {
    if (!(await sandbox.restoreTree(tree))) {
      await sandbox.close();
      return undefined;
    }
    const mark = { epoch: before.epoch, entries: last + 1, sandbox: sandbox.ref, at: now() };
    await journal.append({ kind: 'mark', mark: 'restored', ...mark });
    return sandbox;
  });
}

/** Runs what makes a fresh sandbox known; one that nobody knows of is removed. */
async function closingOnFailure<T>(sandbox: PreparedSandbox, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await sandbox.close().catch(() => undefined);
    throw error;
  }
}

function marks<M extends Mark['mark']>(
  entry: JournalEntry,
  mark: M,
): entry is { kind: 'mark' } & Extract<Mark, { mark: M }> {
  return entry.kind === 'mark' && entry.mark === mark;
}

function lastSandbox(entries: JournalEntry[]): SandboxRef | undefined {
  const mark = entries.findLast((entry) => marks(entry, 'started') || marks(entry, 'restored')) as
    | { sandbox: SandboxRef }
    | undefined;
  return mark?.sandbox;
}

function now(): string {
  return new Date().toISOString();
}
