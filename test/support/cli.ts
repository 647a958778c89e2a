/** The command line in this process, with its own streams. */

import { PassThrough, Readable } from 'node:stream';
import { describeError } from '../../client/errors.ts';
import type { Io, Output } from '../../client/output.ts';
import { createProgram } from '../../client/program.ts';

export interface CliRun {
  exitCode: number;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  cwd?: string;
  stdin?: Iterable<Uint8Array | string>;
  env?: NodeJS.ProcessEnv;
  /** Width of the terminal on stdout; no terminal without it. */
  columns?: number;
}

/** Runs `twinpatch` with these arguments to its end. */
export async function runCli(args: string[], options: CliOptions = {}): Promise<CliRun> {
  const stdout = collect();
  const stderr = collect();
  const { columns } = options;
  const io: Io = {
    stdin: Readable.from(options.stdin ?? []),
    stdout: Object.assign(stdout.stream, columns === undefined ? {} : { isTTY: true, columns }),
    stderr: stderr.stream,
    cwd: options.cwd ?? process.cwd(),
    env: options.env ?? {},
  };
  let exitCode = 0;
  try {
    await createProgram(io).parseAsync(args, { from: 'user' });
  } catch (error) {
    const end = describeError(error, { debug: false });
    exitCode = end.exitCode;
    stderr.stream.write(end.text);
  }
  return { exitCode, stdout: stdout.text(), stderr: stderr.text() };
}

// --- internal ---

function collect() {
  const parts: Buffer[] = [];
  const stream: Output = new PassThrough().on('data', (chunk: Buffer) => parts.push(chunk));
  return { stream, text: () => Buffer.concat(parts).toString('utf8') };
}
