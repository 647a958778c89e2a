/** Reads an export again and says what a trainer would stumble over. */

import { join } from 'node:path';
import { z } from 'zod';
import { textsOf, type Conversation } from './conversation.ts';
import { RowError, type Format } from './formats/format.ts';
import { formatOf } from './formats/formats.ts';
import { MANIFEST_NAME, readManifest, sum, type DatasetManifest } from './manifest.ts';
import { hashFile, readLines, readParquet } from './row-files.ts';
import { cleanText, hasChatTags, hasControlTokens } from './text.ts';

export interface Problem {
  file: string;
  /** From 1; null where the file as a whole is meant. */
  line: number | null;
  message: string;
}

/** Asked about every row that can be read; says what else is wrong with it. */
export type RowCheck = (row: unknown, conversation: Conversation) => string[];

/** Problems of an export folder, none where it is sound: the manifest, its sums, the files' hashes, and every row. */
export async function checkDataset(
  directory: string,
  alsoCheck: RowCheck = () => [],
): Promise<Problem[]> {
  const manifest = await readManifest(directory);
  if ('problem' in manifest)
    return [{ file: MANIFEST_NAME, line: null, message: manifest.problem }];
  const problems: Problem[] = checkSums(manifest).map((message) => ({
    file: MANIFEST_NAME,
    line: null,
    message,
  }));
  for (const file of manifest.files)
    problems.push(...(await checkFile(directory, file, manifest, alsoCheck)));
  return problems;
}

/** Problems of one row. */
export function checkRow(row: unknown, format: Format, alsoCheck: RowCheck = () => []): string[] {
  try {
    const { conversation } = format.parse(row);
    return [...checkConversation(conversation), ...alsoCheck(row, conversation)];
  } catch (error) {
    if (error instanceof RowError) return [error.message];
    throw error;
  }
}

// --- internal ---

/** A file with more than this is broken as a whole; reading stops there. */
const MAX_PROBLEMS = 100;

function checkSums({ samples, t1, t2, files }: DatasetManifest): string[] {
  const { planned, verified, unverifiable, held, infrastructure, unfinished } = samples;
  const finished = verified + sum(unverifiable) + sum(held) + sum(infrastructure);
  const problems: string[] = [];
  if (finished + unfinished !== planned) {
    problems.push(`counts ${finished + unfinished} samples of ${planned} planned`);
  }
  for (const [kind, { rows, lost }] of Object.entries({ t1, t2 })) {
    const written = files.filter((file) => file.kind === kind);
    const inFiles = written.reduce((total, file) => total + file.rows, 0);
    if (inFiles !== rows) problems.push(`has ${inFiles} rows of ${kind} in its files, not ${rows}`);
    if (rows + sum(lost) === finished) continue;
    problems.push(`accounts for ${rows + sum(lost)} of ${finished} finished samples in ${kind}`);
  }
  return problems;
}

async function checkFile(
  directory: string,
  file: DatasetManifest['files'][number],
  manifest: DatasetManifest,
  alsoCheck: RowCheck,
): Promise<Problem[]> {
  const { name } = file;
  const problems: Problem[] = [];
  const report = (line: number | null, message: string) =>
    problems.push({ file: name, line, message });
  if (manifest.simulated !== name.includes('.SIMULATED.'))
    report(null, 'does not say in its name whether it is simulated');
  const format = formatOf(manifest.format);
  const path = join(directory, name);
  let line = 0;
  try {
    const rows =
      manifest.fileType === 'parquet' && format.columns !== undefined
        ? readParquet(path, format.columns)
        : readRows(path);
    for await (const row of rows) {
      line += 1;
      const found =
        row instanceof SyntaxError
          ? [`is not JSON: ${row.message}`]
          : checkRow(row, format, alsoCheck);
      for (const message of found) report(line, message);
      if (problems.length >= MAX_PROBLEMS) return problems;
    }
    if (line !== file.rows) report(null, `has ${line} rows, and the manifest says ${file.rows}`);
    const { bytes, sha256 } = await hashFile(path);
    if (bytes !== file.bytes || sha256 !== file.sha256) {
      report(
        null,
        'was changed after the export: its size or SHA-256 is not the one of the manifest',
      );
    }
  } catch (error) {
    report(null, `cannot be read: ${String(error)}`);
  }
  return problems;
}

async function* readRows(path: string): AsyncGenerator {
  for await (const line of readLines(path)) {
    try {
      yield JSON.parse(line.toString('utf8').replace(/\n$/, ''));
    } catch (error) {
      yield error;
    }
  }
}

const toolSchema = z.object({
  type: z.literal('function'),
  function: z.object({ name: z.string() }),
});

function checkConversation({ system, tools, turns }: Conversation): string[] {
  const read = z.array(toolSchema).safeParse(tools);
  if (!read.success) return ['does not list its tools as functions'];
  const names = new Set(read.data.map((tool) => tool.function.name));
  const problems: string[] = checkText(system).map((problem) => `the system prompt ${problem}`);
  if (turns.at(-1)?.role !== 'assistant') problems.push('does not end with a reply');
  if (!turns.some((turn) => turn.role === 'assistant' && turn.train))
    problems.push('has no reply to train on');
  for (const [index, turn] of turns.entries()) {
    const texts = turn.role === 'assistant' ? textsOf(turn) : [turn.content];
    const found = new Set(texts.flatMap(checkText));
    for (const { name } of turn.role === 'assistant' ? turn.calls : []) {
      if (!names.has(name)) found.add(`calls ${name}, which is not among its tools`);
    }
    problems.push(...[...found].map((problem) => `turn ${index + 1} ${problem}`));
  }
  return problems;
}

function checkText(text: string): string[] {
  const problems: string[] = [];
  if (cleanText(text) !== text) problems.push('holds a NUL or half of a surrogate pair');
  if (hasControlTokens(text)) problems.push('holds a control token');
  if (hasChatTags(text)) problems.push('holds a tag of chat templates');
  return problems;
}
