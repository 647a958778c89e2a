/** What is remembered of a rollout that can become a row: a few numbers, and signatures where views compare rows. */

import { createHash } from 'node:crypto';
import { changedLines, readPatch } from '../domain/patch.ts';
import { fileKind } from '../domain/patch-facts.ts';
import type { Condition } from './conditions.ts';
import { textsOf } from './conversation.ts';
import { factOf, type FactValue, type RowSource } from './facts.ts';
import { shingles, signatureOf, type Signature } from './minhash.ts';
import type { Example } from './row.ts';
import type { Kind } from './select.ts';
import type { Views } from './views.ts';

export interface Candidate {
  /** The rollout's id. */
  id: string;
  kind: Kind;
  simulated: boolean;
  /** Numbers of the function and the file it is about, the same for every commit and batch. */
  function: number;
  file: number;
  /** Files that were there before and that its patch changes, documents, settings and the like aside; read for a split. */
  changed: number[];
  /** Of the patch; undefined where no view asks, and where nothing was changed. */
  patch: Signature | undefined;
  /** Of what the teacher wrote; undefined where no view asks. */
  trajectory: Signature | undefined;
  /** Of the preferred fact: those with less go first. */
  order: number;
  stratum: FactValue;
  /** Which of the conditions that are only weighed it meets. */
  meets: boolean[];
  /** Its place in a fair draw, from 0 to 1. */
  lot: number;
  replies: number;
  /** Replies that are trained on. */
  trained: number;
}

/** Makes candidates of rows; what no view asks for is not read, but for what is weighed: that needs all of it. */
export function candidatesFor(
  views: Views,
  weighed: Condition[] | undefined,
): (source: RowSource, written: Example) => Promise<Candidate> {
  const numberOf = numbering();
  const isSplit = views.heldOut !== undefined;
  const comparesAll = isSplit || weighed !== undefined;
  const needsPatch = comparesAll || views.distinctPatches !== undefined;
  const needsTrajectory = comparesAll || views.distinctTrajectories !== undefined;
  return async (source, written) => {
    const { kind, sample, side } = source;
    const { repository, file, name } = sample.target;
    const fileNumber = (path: string) => numberOf(JSON.stringify([repository, path]));
    const patch = needsPatch ? await side.patch() : '';
    const replies = written.conversation.turns.filter((turn) => turn.role === 'assistant');
    return {
      id: side.rolloutId,
      kind,
      simulated: side.simulated,
      function: numberOf(JSON.stringify([repository, file, name])),
      file: fileNumber(file),
      changed: isSplit ? changedFiles(patch).map(fileNumber) : [],
      patch: signatureOf(shingles(changesOf(patch), PATCH_WORDS)),
      trajectory: needsTrajectory
        ? signatureOf(shingles(replies.flatMap(textsOf), TRAJECTORY_WORDS))
        : undefined,
      order: await orderOf(source, views),
      stratum: views.stratify === undefined ? null : await factOf(views.stratify, source),
      meets: await Promise.all((weighed ?? []).map((condition) => meets(condition, source))),
      lot: drawLot(views.seed, side.rolloutId),
      replies: replies.length,
      trained: replies.filter(({ train }) => train).length,
    };
  };
}

/** Whether the row meets the condition, or is not meant by it. */
export async function meets({ kind, fact, holds }: Condition, source: RowSource): Promise<boolean> {
  return (kind !== undefined && kind !== source.kind) || holds(await factOf(fact, source));
}

/** The order in which rows are taken where not all can be: T2, which was verified, before T1; then by preference, then by lot. */
export function compareCandidates(a: Candidate, b: Candidate): number {
  if (a.kind !== b.kind) return a.kind === 't2' ? -1 : 1;
  if (a.order !== b.order) return a.order < b.order ? -1 : 1;
  return a.lot - b.lot || (a.id < b.id ? -1 : 1);
}

/** A number from 0 to 1 that the seed and the name alone determine. */
export function drawLot(seed: number, name: string): number {
  const hash = createHash('sha256')
    .update(JSON.stringify([seed, name]))
    .digest();
  return hash.readUIntBE(0, LOT_BYTES) / 2 ** (8 * LOT_BYTES);
}

// --- internal ---

/** Words of a shingle; patches are short, and say more with each. */
const PATCH_WORDS = 4;
const TRAJECTORY_WORDS = 5;
const LOT_BYTES = 6;

/** The same number for the same text. */
function numbering(): (text: string) => number {
  const numbers = new Map<string, number>();
  return (text) => {
    const number = numbers.get(text) ?? numbers.size;
    numbers.set(text, number);
    return number;
  };
}

async function orderOf(source: RowSource, { prefer }: Views): Promise<number> {
  if (prefer === undefined) return 0;
  const value = await factOf(prefer.fact, source);
  if (typeof value !== 'number') return Infinity;
  return prefer.least ? value : -value;
}

/** The changed lines with their signs, as one text: neither places nor context make two changes different. */
function changesOf(patch: string): string[] {
  const lines: string[] = [];
  changedLines(patch, (start, end) => lines.push(patch.slice(start, end)));
  return [lines.join('\n')];
}

function changedFiles(patch: string): string[] {
  return readPatch(patch).flatMap(({ path, oldPath, binary }) => {
    const kind = fileKind({ path, binary });
    return oldPath !== null && (kind === 'source' || kind === 'tests') ? [oldPath] : [];
  });
}
