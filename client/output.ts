/** What the command line prints: results on stdout, everything else on stderr. */

import type { Readable, Writable } from 'node:stream';
import pc from 'picocolors';

/** The streams and surroundings of a command; tests give their own. */
export interface Io {
  stdin: Readable & { isTTY?: boolean };
  stdout: Output;
  stderr: Output;
  cwd: string;
  env: NodeJS.ProcessEnv;
}

export type Output = Writable & { isTTY?: boolean; columns?: number };

/** The process's own. */
export function processIo(): Io {
  const { stdin, stdout, stderr, env } = process;
  return { stdin, stdout, stderr, cwd: process.cwd(), env };
}

/** Writes, and returns when the stream takes more. Throws what the stream ended with. */
export async function write(stream: Writable, text: string): Promise<void> {
  if (stream.errored) throw stream.errored;
  if (stream.write(text)) return;
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error | null) => {
      stream.off('drain', settle);
      stream.off('error', settle);
      stream.off('close', settle);
      if (error) reject(error);
      else resolve();
    };
    stream.on('drain', settle);
    stream.on('error', settle);
    stream.on('close', settle);
  });
}

/** One line of JSON on stdout; what is no text in a string, as bytes of a name that are no UTF-8, is replaced. */
export async function printJson(io: Io, value: unknown): Promise<void> {
  const line = JSON.stringify(value, (_key, each: unknown) =>
    typeof each === 'string' ? each.toWellFormed() : each,
  );
  await write(io.stdout, `${line}\n`);
}

/** A line for people on stdout. */
export async function print(io: Io, line: string): Promise<void> {
  await write(io.stdout, `${line}\n`);
}

/** A line on stderr: progress, notes. */
export async function note(io: Io, line: string): Promise<void> {
  await write(io.stderr, `${line}\n`);
}

/** Colours for a stream: none without a terminal or with NO_COLOR, some all the same with FORCE_COLOR. */
export function colorsOf(stream: Output, env: NodeJS.ProcessEnv) {
  if (env['NO_COLOR']) return pc.createColors(false);
  if (env['FORCE_COLOR']) return pc.createColors(env['FORCE_COLOR'] !== '0');
  return pc.createColors(stream.isTTY === true && env['TERM'] !== 'dumb');
}

/**
 * Text of a model or a repository, safe to show: no terminal sequences, control characters or marks that reorder or hide
 * text; line breaks and tabs stay.
 */
export function sanitize(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replaceAll(CONTROL_SEQUENCE, '')
    .replaceAll(HIDDEN, '')
    .toWellFormed();
}

/** As `sanitize`, on one line. */
export function sanitizeLine(text: string): string {
  return sanitize(text).replaceAll(/\s+/g, ' ').trim();
}

// --- internal ---

const ESCAPE = '\u001b';
const CSI = '\u009b';
/** CSI sequences, in both spellings; of any other sequence the introducer goes and its text stays, to hide nothing. */
const CONTROL_SEQUENCE = new RegExp(`(?:${ESCAPE}\\[|${CSI})[0-?]*[ -/]*[@-~]`, 'g');
/** C0 but tab and line feed, DEL, C1; format characters (bidi, zero width, tags) but the joiners that scripts and emoji need. */
const HIDDEN = /(?![\t\n\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
