/** What is known of a row before it is chosen. A fact is one entry of the table; conditions, orders and strata name it. */

import { patchFacts, type FileKind, type PatchFacts } from '../domain/patch-facts.ts';
import type { Conversation, Reply } from './conversation.ts';
import type { Lengths } from './lengths.ts';
import type { Example } from './row.ts';
import type { FinishedSample, Kind, RolloutSide } from './select.ts';
import type { Json } from './text.ts';

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
  whitespaceOnly: text('whether the patch changes nothing but whitespace', async ({ patch }) =>
    toWord((await patch()).whitespaceOnly),
  ),
  touchesTarget: text('whether the patch changes the function it is about', async ({ patch }) =>
    toWord((await patch()).touchesTarget),
  ),

  repository: text('name of the repository', ({ sample }) => sample.target.repository),
  file: text('file of the function', ({ sample }) => sample.target.file),
  function: text('qualified name of the function', ({ sample }) => sample.target.name),
  batch: provenance('batch', 'name of the batch'),
  commit: provenance('commit', 'hash of the commit'),
  language: provenance('language', 'language of the function'),
  model: provenance('model', 'model of the teacher'),
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

function text(what: string, of: (source: RowSource) => string | Promise<string>): Fact {
  return { type: 'text', what, of };
}

function changedFiles(kind: FileKind): Fact {
  const what = `${kind} files that the patch changes`;
  return number(what, async ({ patch }) => (await patch()).kinds[kind]);
}

/** A text that the row carries along. */
function provenance(key: string, what: string): Fact {
  const of = ({ sample, side }: RowSource) => {
    const value: Json | undefined = side.provenance[key] ?? sample.provenance[key];
    return typeof value === 'string' ? value : null;
  };
  return { type: 'text', what, of };
}

function repliesOf({ conversation }: Example): Reply[] {
  return conversation.turns.filter((turn) => turn.role === 'assistant');
}

function thinkingShare(example: Example): number {
  const replies = repliesOf(example);
  return replies.filter(({ reasoning }) => reasoning !== '').length / replies.length;
}

function toWord(value: boolean): string {
  return value ? 'yes' : 'no';
}
