/** The store: the truth about what is planned, done, owned and paid. A folder now; any implementation passes test/contracts/store-contract.ts. */

import type { Amount, Caps, Claim } from './budget.ts';
import type { BatchConfig } from './config.ts';
import type { Verdict } from './outcome.ts';
import type { Journal, JournalEntry, SharedImages } from './ports.ts';
import type { Ref, Sample, SampleEnd, Spent } from './sample.ts';
import type { SpendLine, SpendTotal } from './spend.ts';

/** The store can't be read or written (disk full, no permission). Temporary: the work is tried again. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
}

/** There is no store, and none was to be made. */
export class StoreMissing extends Error {
  override readonly name = 'StoreMissing';
}

/** Something in the store is damaged or was written by a newer version; names the file. */
export class StoreCorrupt extends Error {
  override readonly name = 'StoreCorrupt';
}

/** This owner's lease was taken over: it writes nothing more. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
}

/** Immutable content by its hash. */
export interface Blobs {
  put(bytes: Uint8Array): Promise<Ref>;
  /** Stores a stream without holding it in memory. */
  putStream(stream: AsyncIterable<Uint8Array>): Promise<Ref>;
  get(ref: Ref): Promise<Uint8Array>;
  /** Compressed JSON: equal values have equal references. */
  putJson(value: unknown): Promise<Ref>;
  getJson<T>(ref: Ref): Promise<T>;
  stream(ref: Ref): Promise<NodeJS.ReadableStream>;
  has(ref: Ref): Promise<boolean>;
}

/** `batch.json`: every value pinned at the first run. */
export interface BatchRecord {
  id: string;
  storeId: string;
  formatVersion: 1;
  config: BatchConfig;
  /** The source, for people; credentials removed. */
  repository: string;
  commits: {
    name: string;
    commit: string;
    snapshot: Ref;
    /** Its functions as the plan was made from: more samples need neither the repository nor this version of the parser. */
    functions: Ref;
  }[];
  functions: { found: number; eligible: number };
  /** Made by the scripted teacher. */
  simulated: boolean;
  versions: Record<string, string>;
  createdAt: string;
}

export interface Batches {
  list(): Promise<string[]>;
  get(batchId: string): Promise<BatchRecord | undefined>;
  /** Makes the batch, of two at once one; returns the record that is there. */
  begin(batch: BatchRecord): Promise<BatchRecord>;
  /** Writes or replaces the record; readers see the old or the new one, never a part. */
  put(record: BatchRecord): Promise<void>;
  /** Samples in the manifest. */
  planned(batchId: string): Promise<number>;
  /** Appends those that are not there yet; the first of these has the index `planned`. */
  append(batchId: string, samples: Sample[]): Promise<void>;
  /** Samples `from` … `from + count - 1`, fewer at the end. */
  samples(batchId: string, from: number, count: number): Promise<Sample[]>;
}

/** What was set while batches run, over what they and their workers were started with. */
export interface Tuning {
  /** Samples of the batch under way at once. */
  window?: number;
  /** Caps of the batch, as `budget` in its configuration. */
  maxCostUsd?: number;
  maxTokens?: number;
  maxHours?: number;
  /** Rollouts at once on each worker of the store, of whatever batch. */
  slots?: number;
}

/** Values to set; null takes one back. */
export type TuningChange = { [Name in keyof Tuning]?: number | null };

export interface Tunings {
  /** Those of the batch, and those of all batches. */
  read(batchId: string): Promise<Tuning>;
  slots(): Promise<number | undefined>;
  change(batchId: string, values: TuningChange): Promise<void>;
}

export interface StageKey {
  batchId: string;
  sampleKey: string;
  /** File name in the sample's folder: stage and content hash, such as `rollout-1.2-0f3a…`. */
  name: string;
}

/** Write once per key: put returns the value that is there, the first one written. */
export interface StageLedger {
  get<T>(key: StageKey): Promise<T | undefined>;
  put<T>(key: StageKey, value: T): Promise<T>;
  /** Names of the results a sample has. */
  names(batchId: string, sampleKey: string): Promise<string[]>;
  /** Claims a patch hash for a sample; returns the key of the sample that owns it. */
  claim(batchId: string, patchHash: string, sampleKey: string): Promise<string>;
}

/** Who owns a rollout. */
export interface Lease {
  rolloutId: string;
  epoch: number;
  /** Take-overs in a row before this one that brought the rollout no further. */
  fruitless: number;
}

/**
 * `live`: a process of this host that runs, or of another host that renewed its lease. `gone`: lost or gone by its own will from a
 * rollout that is unfinished, so the next one may go on in its container. `none`: never taken, or finished.
 */
export type OwnerState = 'live' | 'gone' | 'none';

export interface Leases {
  /** Takes the rollout over: the epoch grows by one, and one taker wins it. */
  take(rolloutId: string): Promise<Lease>;
  /** Whether no newer owner has come. */
  holds(lease: Lease): Promise<boolean>;
  /** Given back by the owner's own will: the row of fruitless take-overs ends. */
  release(lease: Lease): Promise<void>;
  /** Forgotten, with its journal segments: the rollout has its result. */
  settle(rolloutId: string): Promise<void>;
  ownerOf(rolloutId: string): Promise<OwnerState>;
}

/** One epoch's journal of a rollout. */
export interface SegmentJournal extends Journal {
  /** What counts for the last owner that wrote anything; it counts here after a mark, `continued` or `restored`, that names it. */
  before(): Promise<{ epoch: number; entries: JournalEntry[] } | undefined>;
  /** Keeps the tree of the rollout's sandbox, and marks that it is the one after the entries so far. */
  saveTree(tree: Uint8Array): Promise<void>;
  /** A tree by the name in its mark; undefined when it is gone. */
  readTree(name: string): Promise<Uint8Array | undefined>;
  /** Whoever takes over, on whatever host, sees all that was appended. */
  share(): Promise<void>;
  /** On the disk; all that counts, compressed, as a blob. */
  close(): Promise<Ref>;
}

export interface Journals {
  of(lease: Lease): SegmentJournal;
  read(ref: Ref): Promise<JournalEntry[]>;
  /** What was paid in this epoch and those before, and does not count. */
  wasted(lease: Lease): Promise<Spent>;
}

/** How a sample ended, in short. */
export type Outcome = Pick<SampleEnd, 'key' | 'generation' | 'verdict' | 'recall' | 'endedAt'>;

export interface UnfinishedSample {
  key: string;
  /** That a new run of it belongs to. */
  generation: number;
  /** How its last run ended, where that failed. */
  failed?: Verdict;
}

/**
 * One end per ended sample: of its last generation the content verdict, else the latest. Of many samples a summary is read, a line
 * each, and some hundred bytes a sample are kept in memory; who asks again reads what came since.
 */
export interface SampleEnds {
  /** Returns the end that counts: the first content verdict of a generation. */
  record(batchId: string, end: SampleEnd): Promise<SampleEnd>;
  /** In short, in the manifest's order. */
  outcomes(batchId: string): Promise<Iterable<Outcome>>;
  /** Whole, in the manifest's order. */
  stream(batchId: string): AsyncIterable<SampleEnd>;
  /** Of one sample. */
  of(batchId: string, sampleKey: string): Promise<SampleEnd | undefined>;
  /** Those of these samples that have no content verdict, in their order. */
  unfinished(batchId: string, sampleKeys: string[]): Promise<UnfinishedSample[]>;
  /** Starts another generation, and returns it: the sample has no verdict again. */
  renew(batchId: string, sampleKey: string): Promise<number>;
  /** Makes the summary anew from the results of all samples; returns how many have a content verdict. */
  rebuild(batchId: string, onProgress?: (done: number, planned: number) => void): Promise<number>;
}

export interface SpendLedger {
  /** Returns when the line survives kill -9. */
  record(batchId: string, line: SpendLine): Promise<void>;
  /** What this process has paid. */
  own(batchId: string): SpendTotal;
  /** What each process has paid that ever worked at the batch, by its name. */
  byWorker(batchId: string): Promise<Map<string, SpendTotal>>;
  /** Sum over all workers and resumes. */
  total(batchId: string): Promise<SpendTotal>;
  /** Every paid call, those of one worker in their order. */
  lines(batchId: string): AsyncIterable<SpendLine>;
}

/** What is done at an endpoint of a batch just now. */
export interface EndpointPulse {
  endpoint: string;
  model: string;
  callsUnderWay: number;
  inputTokensPerSecond: number;
  outputTokensPerSecond: number;
}

export interface Pulses {
  /** What this process does, until it says something else or is heard of no more. */
  beat(batchId: string, endpoints: EndpointPulse[]): Promise<void>;
  /** What all workers do together; none where nobody does anything. */
  now(batchId: string): Promise<EndpointPulse[]>;
}

/** What workers reserve of a batch's caps before they spend it. */
export interface Claims {
  /** Reserves about so much for this process; undefined while all that is left is reserved by others, or spent. */
  claim(batchId: string, caps: Caps, wish: Amount): Promise<Claim | undefined>;
}

/** Which one of how many workers that ask a batch's teacher a process is. */
export interface Share {
  index: number;
  of: number;
}

export interface Shares {
  /** Lets other workers know that this one asks the batch's teacher just now, and returns its place among all that do. */
  take(batchId: string): Promise<Share>;
}

/** An activity attempt under way in some process: what a restarted worker fails, so that it is dispatched again at once. */
export interface Attempt {
  activity: string;
  workflowId: string;
  /** Base64. */
  taskToken: string;
}

export interface Attempts {
  /** Returns the function that strikes it off. */
  enter(attempt: Attempt): Promise<() => Promise<void>>;
  /** Attempts of processes of this host that are gone; each stays until it is struck off. */
  orphans(): Promise<{ attempt: Attempt; strikeOff(): Promise<void> }[]>;
  /** Attempts of live processes of this host. */
  live(): Promise<Attempt[]>;
}

export interface Store {
  /** Of the installation: on every container and batch. */
  readonly id: string;
  /** Where it is, for people. */
  readonly location: string;
  blobs: Blobs;
  batches: Batches;
  ledger: StageLedger;
  leases: Leases;
  journals: Journals;
  ends: SampleEnds;
  spend: SpendLedger;
  claims: Claims;
  pulses: Pulses;
  tunings: Tunings;
  shares: Shares;
  attempts: Attempts;
  /** For the engines of other hosts. */
  images: SharedImages;
  /** Clears away what dead processes left half-written, and completes what they had still to share with other hosts. */
  tidy(): Promise<void>;
  /** All that this process wrote can be read by others. */
  close(): Promise<void>;
}
