/** Reads an export again and says what a trainer would stumble over. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { hasControlTokens, parseAssistant } from './hermes.ts';
import { MANIFEST_NAME, manifestSchema, type DatasetManifest } from './manifest.ts';
import { cleanText, rowSchema, type Row, type RowMessage } from './row.ts';

export interface Problem {
  file: string;
  /** From 1; null where the file as a whole is meant. */
  line: number | null;
  message: string;
}

/** Problems of an export folder, none where it is sound: the manifest, its sums, the files' hashes, and every row. */
export async function checkDataset(directory: string): Promise<Problem[]> {
  const manifest = await readManifest(directory);
  if ('problem' in manifest)
    return [{ file: MANIFEST_NAME, line: null, message: manifest.problem }];
  const problems = checkSums(manifest).map((message) => ({
    file: MANIFEST_NAME,
    line: null,
    message,
  }));
  const perFile = await Promise.all(
    manifest.files.map((file) => checkFile(directory, file, manifest)),
  );
  return [...problems, ...perFile.flat()];
}

/** Problems of one row's line. */
export function checkRow(line: string): string[] {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    return [`is not JSON: ${String(error)}`];
  }
  const parsed = rowSchema.safeParse(value);
  if (!parsed.success) return [z.prettifyError(parsed.error)];
  const row = parsed.data;
  const toolNames = readToolNames(row.tool_json);
  if (!toolNames) return ['tool_json is not the JSON text of a list of function tools'];
  return [
    ...checkRoles(row),
    ...row.messages.flatMap((message, index) =>
      checkMessage(message, toolNames).map((problem) => `message ${index + 1} ${problem}`),
    ),
  ];
}

// --- internal ---

/** A file with more than this is broken as a whole; reading stops there. */
const MAX_PROBLEMS = 100;

async function readManifest(directory: string): Promise<DatasetManifest | { problem: string }> {
  try {
    const value: unknown = JSON.parse(await readFile(join(directory, MANIFEST_NAME), 'utf8'));
    return manifestSchema.parse(value);
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    return { problem: `cannot be read, so this is no export: ${reason}` };
  }
}

function checkSums({ samples, t1, t2 }: DatasetManifest): string[] {
  const { planned, verified, unverifiable, held, infrastructure, unfinished } = samples;
  const finished = verified + sum(unverifiable) + sum(held) + sum(infrastructure);
  const problems: string[] = [];
  if (finished + unfinished !== planned) {
    problems.push(`counts ${finished + unfinished} samples of ${planned} planned`);
  }
  for (const [name, { rows, lost }] of Object.entries({ t1, t2 })) {
    if (rows + sum(lost) === finished) continue;
    problems.push(`accounts for ${rows + sum(lost)} of ${finished} finished samples in ${name}`);
  }
  return problems;
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, value) => total + value, 0);
}

async function checkFile(
  directory: string,
  { name, rows, bytes, sha256 }: DatasetManifest['files'][number],
  { simulated }: DatasetManifest,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const report = (line: number | null, message: string) =>
    problems.push({ file: name, line, message });
  if (simulated !== name.includes('.SIMULATED.'))
    report(null, 'does not say in its name whether it is simulated');
  const hash = createHash('sha256');
  let line = 0;
  let size = 0;
  try {
    for await (const content of readLines(join(directory, name))) {
      line += 1;
      size += content.length;
      hash.update(content);
      const text = content.toString('utf8').replace(/\n$/, '');
      for (const message of checkRow(text)) report(line, message);
      if (problems.length >= MAX_PROBLEMS) return problems;
    }
  } catch (error) {
    report(null, `cannot be read: ${String(error)}`);
    return problems;
  }
  if (line !== rows) report(null, `has ${line} rows, and the manifest says ${rows}`);
  if (size !== bytes || hash.digest('hex') !== sha256) {
    report(
      null,
      'was changed after the export: its size or SHA-256 is not the one of the manifest',
    );
  }
  return problems;
}

/** Lines with their ends, cut at `\n` only. */
async function* readLines(path: string): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      yield Buffer.concat([...parts, chunk.subarray(start, end + 1)]);
      parts = [];
      start = end + 1;
    }
    if (start < chunk.length) parts.push(chunk.subarray(start));
  }
  if (parts.length > 0) yield Buffer.concat(parts);
}

const toolsSchema = z.array(
  z.object({ type: z.literal('function'), function: z.object({ name: z.string() }) }),
);

function readToolNames(toolJson: string): Set<string> | undefined {
  try {
    const tools = toolsSchema.parse(JSON.parse(toolJson));
    return new Set(tools.map((tool) => tool.function.name));
  } catch {
    return undefined;
  }
}

function checkRoles({ messages }: Row): string[] {
  const problems: string[] = [];
  messages.forEach(({ role }, index) => {
    const expected = index === 0 ? 'system' : index % 2 === 1 ? 'user' : 'assistant';
    if (role !== expected)
      problems.push(`message ${index + 1} is of role ${role}, not ${expected}`);
  });
  if (messages.at(-1)?.role !== 'assistant')
    problems.push('does not end with an assistant message');
  if (!messages.some((message) => message.train)) problems.push('has no message to train on');
  return problems;
}

function checkMessage({ role, content, train }: RowMessage, toolNames: Set<string>): string[] {
  const problems: string[] = [];
  if (cleanText(content) !== content) problems.push('holds a NUL or half of a surrogate pair');
  if (hasControlTokens(content)) problems.push('holds a control token');
  if (train && role !== 'assistant') problems.push(`trains on role ${role}`);
  if (!train || role !== 'assistant') return problems;
  const turn = parseAssistant(content);
  if (!turn) problems.push('holds a tool call or a thought that cannot be read back');
  for (const { name } of turn?.calls ?? []) {
    if (!toolNames.has(name)) problems.push(`calls ${name}, which tool_json does not list`);
  }
  return problems;
}
