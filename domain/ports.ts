/** What the agent and the activities need from the world. Every port has a fake or a second implementation, and one test suite. */

import type { Price } from './teacher-config.ts';
import type { Ref } from './sample.ts';
import type { AssistantMessage, Message, Repair, ToolSchema, Usage } from './trajectory.ts';

// --- teacher ---

/** Identifies one paid call: (rollout or stage, step, try). `try` grows when a call was under way in a crash. */
export interface CallId {
  /** A rollout id, or `<batchId>/<sampleKey>/<stage>` for calls outside a rollout. */
  scope: string;
  step: number;
  try: number;
}

export interface CompletionRequest {
  messages: Message[];
  tools?: ToolSchema[];
}

export interface Completion {
  message: AssistantMessage;
  /** How the message was brought into form; absent when it came in form. */
  repairs?: Repair[];
  finishReason: 'stop' | 'tool_calls' | 'length' | 'content_filter' | 'other';
  usage: Usage;
  /** USD, or null where the model has no known price. */
  costUsd: number | null;
  /** By which it cost that; left out where none is known. */
  price?: Price;
  /** The model as the endpoint names it. */
  model: string;
  endpoint: string;
  /** True when the reply came from the scripted teacher. */
  simulated: boolean;
  durationMs: number;
}

export type TeacherErrorKind =
  | 'rate-limit'
  | 'unavailable'
  | 'auth'
  | 'no-credit'
  | 'unknown-model'
  | 'context'
  | 'bad-request'
  | 'budget';

/** `context` ends the rollout as `context-limit`; no other kind ever ends one. */
export class TeacherError extends Error {
  override readonly name = 'TeacherError';
  readonly kind: TeacherErrorKind;
  readonly retryAfterMs: number | undefined;
  constructor(
    kind: TeacherErrorKind,
    message: string,
    options?: ErrorOptions & { retryAfterMs?: number },
  ) {
    super(message, options);
    this.kind = kind;
    this.retryAfterMs = options?.retryAfterMs;
  }
}

/** Passing trouble is waited out in place so long. */
export const TEACHER_PATIENCE_MS = 5 * 60_000;

export interface Teacher {
  /** One chat completion. Throws TeacherError; rejects with the signal's reason when it aborts. */
  complete(request: CompletionRequest, call: CallId, signal: AbortSignal): Promise<Completion>;
}

// --- sandbox ---

/** What a command leaves for the next one: functions, aliases and jobs do not persist. */
export interface ShellState {
  cwd: string;
  /** Exported variables that differ from the sandbox's own environment; null: unset. */
  env: Record<string, string | null>;
}

export interface SandboxRef {
  /** Engine id, as its `/info` gives it. */
  engine: string;
  container: string;
  imageId: string;
}

export interface CommandRequest {
  /** Made from rollout, step and tool call: the same request has the same id in every owner's life. */
  id: string;
  command: string;
  shell: ShellState;
  timeoutMs: number;
  maxOutputBytes: number;
}

export interface CommandResult {
  /**
   * `oom`: the kernel killed a process of the command for memory; `disk`: a disk of the sandbox is full, but not the engine's own;
   * `disk-limit`: the sandbox has written more than it may, and every process of it was ended.
   */
  end: 'exited' | 'timed-out' | 'oom' | 'disk' | 'disk-limit';
  /** Null only where the command was killed before it ended; 128 + n for signal n. */
  exitCode: number | null;
  /** stdout and stderr in the order written, UTF-8 with replacements; head and tail where it was longer than asked. */
  output: string;
  /** What the command wrote in all. */
  outputBytes: number;
  /** Bytes left out between head and tail. */
  omittedBytes: number;
  /** The command ended, and left processes running. */
  background: boolean;
  shell: ShellState;
  durationMs: number;
}

export type FileRead =
  | { kind: 'file'; bytes: Uint8Array; size: number; truncated: boolean }
  | { kind: 'missing' }
  | { kind: 'directory' }
  /** A symbolic link out of reach, a device, a pipe, a file the agent may not read. */
  | { kind: 'refused'; reason: string };

export interface Entry {
  /** Relative to the listed folder. */
  path: string;
  kind: 'file' | 'directory' | 'symlink' | 'other';
  size: number;
}

/** The sandbox can no longer be trusted or reached. Never shown to the model. */
export class SandboxLost extends Error {
  override readonly name = 'SandboxLost';
}

/** The engine does not answer, or not in time. */
export class EngineUnavailable extends Error {
  override readonly name = 'EngineUnavailable';
}

/** The image of a sample can't be had: not found, or its preparation failed. Permanent. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  readonly kind: 'not-found' | 'build-failed';
  constructor(kind: 'not-found' | 'build-failed', message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** A file of the sandbox could not be written, for a reason the agent may know (missing folder, no permission, disk full). */
export class FileWriteRefused extends Error {
  override readonly name = 'FileWriteRefused';
}

/** One container. Throws SandboxLost or EngineUnavailable; a failing command is a result, not an error. */
export interface Sandbox {
  readonly ref: SandboxRef;
  run(request: CommandRequest, signal?: AbortSignal): Promise<CommandResult>;
  /** `path` is absolute. Reads with the agent's rights, regular files only. */
  readFile(path: string, maxBytes: number): Promise<FileRead>;
  /** Creates missing parent folders, keeps an existing file's mode. Throws FileWriteRefused. */
  writeFile(path: string, bytes: Uint8Array): Promise<void>;
  /** Entries up to `depth` levels below a folder, sorted by path, without hidden ones; undefined when it is no folder. */
  list(path: string, depth: number): Promise<Entry[] | undefined>;
  /** Ends every process; the tree is kept, nothing runs any more. */
  stop(): Promise<void>;
  /** Removes the container and its volumes, unless a newer owner has it. */
  close(): Promise<void>;
}

/**
 * A sandbox of a prepared image, which it can be compared with. Only its owner reaches its tree, so the patch is asked of the
 * sandbox and not by its ref.
 */
export interface PreparedSandbox extends Sandbox {
  /** What it took when it was last looked at, which is once a second while commands run; undefined before. */
  usage(): SandboxUsage | undefined;
  /** Stops the sandbox; its patch against the prepared image, computed outside it. Repeated, it gives the same. */
  extractPatch(caps: ExtractCaps): Promise<ExtractedPatch>;
  /** All that was made of its files since it began, while nothing runs in it; undefined where that is more than `maxBytes`. */
  saveTree(maxBytes: number): Promise<Uint8Array | undefined>;
  /** Has a fresh sandbox of the same image hold the files of a saved tree; false where it could not be done. */
  restoreTree(tree: Uint8Array): Promise<boolean>;
  /** Lets go of it for another owner: it runs on. Nothing of it is usable here any more. */
  leave(): void;
}

export interface SandboxUsage {
  /** Processes and threads, the sandbox's own first one among them. */
  tasks: number;
  memoryBytes: number;
  /** Processes that the kernel killed for memory, since the sandbox began. */
  memoryKills: number;
}

/** Resources and environment of a sandbox. */
export interface SandboxLimits {
  memoryBytes: number;
  cpus: number;
  maxProcesses: number;
  maxFileBytes: number;
  /** All that is written in it, less what is deleted again; files, folders and links. */
  maxDiskBytes: number;
  maxDiskFiles: number;
}

/** What a prepared image is made of; `setup` is run by bash as root in /testbed, in order, with the network. */
export interface ImageSpec {
  /** Made of what determines the image: base, snapshot, set-up. */
  key: string;
  /** The base image: its name, or the text of a Dockerfile that makes it and sees no files. */
  base: { image: string } | { dockerfile: string };
  /** Opens a tar of the repository's tree. */
  snapshot(): Promise<NodeJS.ReadableStream>;
  setup: string[];
  limits: SandboxLimits;
  setupTimeoutMs: number;
}

/** Prepared images of this host. Throws ImageError or EngineUnavailable. */
export interface Images {
  /**
   * Builds it when the host does not have it; at once for a key that is under way. `warnings` are for whoever wrote the set-up.
   */
  prepare(spec: ImageSpec, signal: AbortSignal): Promise<{ imageId: string; warnings: string[] }>;
  /** Has the image of a key on this host that an earlier stage began with, on whichever host that was. */
  obtain(imageId: string, key: string): Promise<void>;
}

/** Prepared images that hosts give each other. */
export interface SharedImages {
  find(key: string): Promise<SharedImage | undefined>;
  /** Returns the first one of the key that was put: it counts for all hosts. `archive` is as the engine saves it. */
  put(
    key: string,
    imageId: string,
    archive: NodeJS.ReadableStream & AsyncIterable<Uint8Array>,
  ): Promise<SharedImage>;
}

export interface SharedImage {
  imageId: string;
  archive(): Promise<NodeJS.ReadableStream>;
}

export interface SandboxSpec {
  imageId: string;
  limits: SandboxLimits;
  /** Of the owner's lease: a sandbox refuses every owner of an older one than it has seen. */
  epoch: number;
  labels: { batch: string; sample: string; rollout: string };
  /** Whether no newer owner has come, asked about what an earlier one left and can't be asked itself; left out: none has. */
  isNewest?(): Promise<boolean>;
  /** Told when the start has to wait, and for what. */
  onWaiting?(reason: string): void;
}

/** Sandboxes of this host. Throws SandboxLost or EngineUnavailable. */
export interface Sandboxes {
  /** A fresh one; what an earlier owner of the rollout left is removed first. SandboxLost where a newer one has it. */
  start(spec: SandboxSpec, signal: AbortSignal): Promise<PreparedSandbox>;
  /** The one that an earlier owner of the rollout left running, from now on this epoch's alone; undefined when there is none. */
  find(
    rolloutId: string,
    epoch: number,
    limits: SandboxLimits,
  ): Promise<PreparedSandbox | undefined>;
}

export interface ExtractCaps {
  maxBytes: number;
  maxEntries: number;
  maxDepth: number;
  timeoutMs: number;
}

export type ExtractedPatch =
  | { kind: 'patch'; text: string; facts: ChangedFile[] }
  | { kind: 'empty' }
  /** A cap was passed; nothing of it is kept. */
  | { kind: 'oversized'; reason: string };

export interface ChangedFile {
  path: string;
  change: 'added' | 'modified' | 'deleted' | 'mode';
  binary: boolean;
}

// --- snapshots ---

/** Files of stored snapshots. */
export interface SnapshotFiles {
  /** The content of those of these paths that are files or links; of a link, its target. Throws what the store does. */
  read(snapshot: Ref, paths: readonly string[]): Promise<Map<string, Uint8Array>>;
}

// --- journal ---

export interface Observation {
  /** The tool call it answers; absent for a format error, which answers the whole turn as a user message. */
  toolCallId?: string;
  kind: 'command' | 'edit' | 'view' | 'submit' | 'error' | 'format-error';
  /** What the teacher reads. */
  content: string;
  timedOut?: boolean;
  /** The command could not be run at all: it is none, or bash could not read it. */
  notRun?: boolean;
  /** The sandbox has written more than it may: nothing more is asked of it. */
  diskLimit?: boolean;
  /** Where the next command starts. */
  shell?: ShellState;
  durationMs: number;
}

export type Mark =
  /** The rollout has its container. */
  | { mark: 'started'; sandbox: SandboxRef; at: string }
  /** Another owner goes on in the same container; of what counted in that epoch's journal, so many entries count. */
  | { mark: 'continued'; epoch: number; entries: number; at: string }
  /** As `continued`, in a fresh container that has the tree which was saved as the last of these entries. */
  | { mark: 'restored'; epoch: number; entries: number; sandbox: SandboxRef; at: string }
  /** The sandbox's tree as it is after the entries so far, by its name in the store. */
  | { mark: 'saved'; tree: string; at: string }
  /** Written before a file is: repeated, the edit is finished from here, not evaluated again; undo comes from `before`. */
  | { mark: 'edit'; id: string; path: string; before: string | null; after: string | null }
  /** The teacher refused the conversation as too long. */
  | { mark: 'context-limit' }
  /** A limit passed between steps. */
  | { mark: 'limit'; status: 'time-limit' };

export type JournalEntry =
  | { kind: 'sent'; call: CallId; at: string }
  | { kind: 'reply'; call: CallId; reply: Completion }
  | { kind: 'observation'; id: string; observation: Observation }
  | ({ kind: 'mark' } & Mark);

export interface Journal {
  /** Every entry so far that counts. */
  open(): Promise<JournalEntry[]>;
  /** Returns when the entry survives kill -9; it is on the disk at the latest a second later, and before the stage's result is. */
  append(entry: JournalEntry): Promise<void>;
}
