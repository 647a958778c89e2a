/** Errors as the command line shows them: what happened, why, and the next command. */

import type { CommanderError } from 'commander';
import { sanitize } from './output.ts';

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  config: 3,
  budgetReached: 4,
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends the command with an exit code. `message` reads `what — why`; `next` is the command or change that helps. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;
  readonly next: string | undefined;
  constructor(
    exitCode: ExitCode,
    message: string,
    { next, ...options }: ErrorOptions & { next?: string | undefined } = {},
  ) {
    super(message, options);
    this.exitCode = exitCode;
    this.next = next;
  }
}

/** How a command ended that threw: the exit code, and the lines for stderr. */
export function describeError(
  error: unknown,
  { debug }: { debug: boolean },
): { exitCode: ExitCode; text: string } {
  if (isCommanderError(error)) return describeUsageError(error);
  if (error instanceof CliError) {
    const next = error.next === undefined ? '' : `next: ${sanitize(error.next)}\n`;
    const text = `error: ${sanitize(error.message)}\n${next}`;
    return { exitCode: error.exitCode, text: text + (debug ? `${traceOf(error)}\n` : '') };
  }
  if (error instanceof Error && EXPECTED.has(error.name)) {
    const trace = debug ? `${traceOf(error)}\n` : '';
    return { exitCode: EXIT.failed, text: `error: ${sanitize(error.message)}\n${trace}` };
  }
  if (isServerGone(error)) {
    const trace = debug ? `${traceOf(error)}\n` : '';
    return {
      exitCode: EXIT.failed,
      text: `error: the Temporal server does not answer any more — it was stopped or can't be reached\nnext: twinpatch up\n${trace}`,
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return {
    exitCode: EXIT.failed,
    text: debug
      ? `${traceOf(error)}\n`
      : `error: this is a bug in twinpatch — ${sanitize(message)}\nnext: run it again with TWINPATCH_DEBUG=1 to see where, and report it\n`,
  };
}

/** Whether a call to the Temporal server failed because none answers. */
export function isServerGone(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ('code' in error && error.code === GRPC_UNAVAILABLE) || isServerGone(error.cause);
}

// --- internal ---

/** google.rpc.Code */
const GRPC_UNAVAILABLE = 14;

/** Errors of the adapters and of set-up: their messages say what happened, why, and what to do next. */
const EXPECTED = new Set([
  'RepositoryError',
  'StoreUnavailable',
  'StoreCorrupt',
  'PromptError',
  'SetupError',
  'EngineUnavailable',
]);

/** `command` is the one that was called, where there was one. */
type UsageError = CommanderError & { command?: string };

// By name: importing commander's class here would load it for every module that throws a CliError.
function isCommanderError(error: unknown): error is UsageError {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('commander.');
}

function describeUsageError({ exitCode, code, message, command }: UsageError) {
  // Help, asked for or not, has been written already.
  if (exitCode === 0) return { exitCode: EXIT.done, text: '' };
  if (code === 'commander.help') return { exitCode: EXIT.usage, text: '' };
  const [what = '', hint] = message.replace(/^error: /, '').split('\n');
  const suggestion = /Did you mean (?:one of )?(.+)\?\)?$/.exec(hint ?? '')?.[1];
  const help = ['twinpatch', ...(command === undefined ? [] : [command]), '--help'].join(' ');
  const next = suggestion === undefined ? `see \`${help}\`` : `did you mean ${suggestion}?`;
  return { exitCode: EXIT.usage, text: `error: ${sanitize(what)}\nnext: ${sanitize(next)}\n` };
}

function traceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by: ${traceOf(error.cause)}`;
  return sanitize(`${error.stack ?? error.message}${cause}`);
}
