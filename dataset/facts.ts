/** What is known of a row before it is chosen. A fact is one entry of the table; conditions, orders and strata name it. */

import { patchFacts, type FileKind, type PatchFacts } from '../domain/patch-facts.ts';
import type { RecallVariants } from '../domain/recall-variants.ts';
import type { Conversation, Reply } from './conversation.ts';
import type { Lengths } from './lengths.ts';
import type { Example } from './row.ts';
import type { FinishedSample, Kind, RolloutSide } from './select.ts';
import { isJsonObject, type Json } from './text.ts';

/** What facts are read from; what takes time is read when the first fact asks for it. */
export interface RowSource {
  kind: Kind;
  sample: FinishedSample;
  side: RolloutSide;
  example: Example;
  lengths(): Lengths;
  /** Of the row's own patch. */
  patch(): Promise<PatchFacts>;
}

/** Null where it is not known of a row. Truth values are `yes` and `no`. */
export type FactValue = number | string | null;

export interface Fact {
  type: 'number' | 'text';
  /** For people; with its unit. */
  what: string;
  of(source: RowSource): FactValue | Promise<FactValue>;
}

export const FACTS = {
  kind: text('t1 or t2', ({ kind }) => kind),
  status: text('how the rollout ended', ({ side }) => side.status),
  recall: number('recall of the sample, exact', ({ sample }) => sample.recall?.exact),
  seraRecall: number('recall of the sample, as SERA counts', ({ sample }) => sample.recall?.sera),
  precision: recorded('verification.exact.precision', 'number', 'share of P2 that P1 has'),
  f1: recorded('verification.exact.f1', 'number', 'harmonic mean of recall and precision'),
  recallWithoutTests: variant('withoutTests', 'tests'),
  recallWithoutDocs: variant('withoutDocs', 'documents'),
  recallWithoutGenerated: variant('withoutGenerated', 'what is generated, vendored or locked'),
  recallCore: variant('core', 'all of these'),
  recallWithoutMoved: variant('withoutMoved', 'lines that only moved'),
  recallSameFile: recorded(
    'verification.variants.sameFile.recall',
    'number',
    'recall, lines found in their own file only',
  ),
  recallIgnoringWhitespace: recorded(
    'verification.variants.ignoringWhitespace.recall',
    'number',
    'recall, lines equal but for whitespace',
  ),
  applies: recorded('verification.judgement.applies', 'text', 'whether P2 fits the snapshot'),
  parses: recorded(
    'verification.judgement.parses',
    'text',
    'whether what P2 changed can still be parsed',
  ),
  sharedActions: recorded(
    'verification.behaviour.shared.actions',
    'number',
    'share of the actions of T1 and T2 that both took',
  ),
  sharedFilesRead: recorded(
    'verification.behaviour.shared.filesRead',
    'number',
    'share of the files read that both read',
  ),
  leak: number('share of P1 that stands in the pull request', ({ sample }) => sample.leak),

  replies: number('replies of the teacher', ({ example }) => repliesOf(example).length),
  untrained: number(
    'replies that are not trained on',
    ({ example }) => repliesOf(example).filter(({ train }) => !train).length,
  ),
  failedCalls: number(
    "calls that failed by the teacher's own fault",
    ({ example }) => example.trajectory.turns.filter(({ failed }) => failed === true).length,
  ),
  think: number('share of replies with a thought', ({ example }) => thinkingShare(example)),
  tokens: number('tokens of the row', ({ lengths }) => lengths().tokens),
  keptRatio: number(
    'share of messages that the token budget keeps',
    ({ lengths }) => lengths().keptRatio,
  ),
  observationTokens: number(
    'tokens read per step, up to the review',
    ({ lengths }) => lengths().observationTokens,
  ),
  longestObservation: number(
    'tokens of the longest message that was read',
    ({ lengths }) => lengths().longestObservation,
  ),

  patchLines: number('lines that the patch adds and removes', async ({ patch }) => {
    const { added, removed } = await patch();
    return added + removed;
  }),
  patchFiles: number('files that the patch changes', async ({ patch }) => (await patch()).files),
  sourceFiles: changedFiles('source'),
  testFiles: changedFiles('tests'),
  docFiles: changedFiles('docs'),
  configFiles: changedFiles('config'),
  generatedFiles: changedFiles('generated'),
  vendoredFiles: changedFiles('vendored'),
  lockFiles: changedFiles('lock'),
  binaryFiles: changedFiles('binary'),
  leftoverScripts: number(
    'new files in the patch that look left behind',
    async ({ patch }) => (await patch()).leftoverScripts,
  ),
  deletedTests: number(
    'files of tests that the patch deletes',
    async ({ patch }) => (await patch()).deletedTests,
  ),
  rewrittenFiles: number(
    'files of which the patch replaces nearly all',
    async ({ patch }) => (await patch()).rewritten,
  ),
  whitespaceOnly: text('whether the patch changes nothing but whitespace', async ({ patch }) =>
    toWord((await patch()).whitespaceOnly),
  ),
  touchesTarget: text('whether the patch changes the function it is about', async ({ patch }) =>
    toWord((await patch()).touchesTarget),
  ),

  licence: text(
    'licence of the repository: SPDX names with commas between, or `unknown`',
    async ({ sample }) => toKnown((await sample.licence?.())?.name),
  ),
  licenceKind: text(
    'what it asks for: permissive, weak-copyleft, copyleft, restricted or unknown',
    async ({ sample }) => toKnown((await sample.licence?.())?.kind),
  ),
  repository: text('name of the repository', ({ sample }) => sample.target.repository),
  file: text('file of the function', ({ sample }) => sample.target.file),
  function: text('qualified name of the function', ({ sample }) => sample.target.name),
  batch: recorded('batch', 'text', 'name of the batch'),
  commit: recorded('commit', 'text', 'hash of the commit'),
  language: recorded('language', 'text', 'language of the function'),
  model: recorded('model', 'text', 'model of the teacher'),
} satisfies Record<string, Fact>;

export type FactName = keyof typeof FACTS;

export const FACT_NAMES = Object.keys(FACTS) as FactName[];

/** The facts of a row, each thing behind them read once. */
export function toSource(
  row: Pick<RowSource, 'kind' | 'sample' | 'side' | 'example'>,
  measure: (conversation: Conversation) => Lengths,
): RowSource {
  let lengths: Lengths | undefined;
  let patch: Promise<PatchFacts> | undefined;
  return {
    ...row,
    lengths: () => (lengths ??= measure(row.example.conversation)),
    patch: () => (patch ??= row.side.patch().then((diff) => patchFacts(diff, row.sample.target))),
  };
}

export async function factOf(name: FactName, source: RowSource): Promise<FactValue> {
  return FACTS[name].of(source);
}

// --- internal ---

function number(
  what: string,
  of: (source: RowSource) => number | null | undefined | Promise<number>,
): Fact {
  return { type: 'number', what, of: async (source) => (await of(source)) ?? null };
}

function text(what: string, of: (source: RowSource) => string | Promise<string | null>): Fact {
  return { type: 'text', what, of };
}

function changedFiles(kind: FileKind): Fact {
  const what = `${kind} files that the patch changes`;
  return number(what, async ({ patch }) => (await patch()).kinds[kind]);
}

/** What stands in the row's provenance under these keys. */
function recorded(keys: string, type: Fact['type'], what: string): Fact {
  const of = ({ example }: RowSource): FactValue => {
    let value: Json | undefined = example.origin.provenance;
    for (const key of keys.split('.')) value = isJsonObject(value) ? value[key] : undefined;
    if (typeof value === 'boolean') return toWord(value);
    return typeof value === 'number' || typeof value === 'string' ? value : null;
  };
  return { type, what, of };
}

function variant(name: keyof RecallVariants, without: string): Fact {
  return recorded(`verification.variants.${name}.recall`, 'number', `recall without ${without}`);
}

function repliesOf({ conversation }: Example): Reply[] {
  return conversation.turns.filter((turn) => turn.role === 'assistant');
}

function thinkingShare(example: Example): number {
  const replies = repliesOf(example);
  return replies.filter(({ reasoning }) => reasoning !== '').length / replies.length;
}

/** A repository without a licence has none: conditions call that `none` of any fact. */
function toKnown(licence: string | undefined): string | null {
  return licence === undefined || licence === 'none' ? null : licence;
}

function toWord(value: boolean): string {
  return value ? 'yes' : 'no';
}
