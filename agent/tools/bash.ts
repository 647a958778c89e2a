/** The `bash` tool: one command in the sandbox, and what the teacher sees of it. */

import { z } from 'zod';
import type { CommandResult } from '../../domain/ports.ts';
import type { ToolSchema } from '../../domain/trajectory.ts';
import { clip } from '../clip.ts';
import { text, type Outcome, type ToolContext } from './tool.ts';

export const bashArguments = z.strictObject({
  command: text()
    .min(1, 'is empty')
    .refine((command) => !command.includes('\0'), 'contains a NUL character'),
});
type BashArguments = z.infer<typeof bashArguments>;

export const BASH: ToolSchema = {
  type: 'function',
  function: {
    name: 'bash',
    description:
      'Runs a command with bash and returns what it printed. The working directory and exported variables carry over to the next command; shell functions and aliases do not. Nothing can be typed into a running command.',
    parameters: {
      type: 'object',
      properties: {
        command: { type: 'string', description: 'The command; several lines are allowed.' },
      },
      required: ['command'],
      additionalProperties: false,
    },
  },
};

/** UTF-8 needs at most four bytes a character, so this never loses what the clipped text would show. */
const MAX_BYTES_PER_CHAR = 4;

/** Runs the command; a request with the id of an earlier one gets its answer, so a crash runs nothing twice. */
export async function runBash({ command }: BashArguments, context: ToolContext): Promise<Outcome> {
  const { commandTimeoutMs, maxObservationChars } = context.plan.limits;
  const request = {
    id: context.id,
    command,
    shell: context.shell,
    timeoutMs: commandTimeoutMs,
    maxOutputBytes: maxObservationChars * MAX_BYTES_PER_CHAR,
  };
  const result = await context.sandbox.run(request, context.signal);
  return {
    kind: 'command',
    content: renderCommand(result, commandTimeoutMs, maxObservationChars),
    timedOut: result.end === 'timed-out',
    ...(result.end === 'disk-limit' ? { diskLimit: true } : {}),
    ...(couldNotRun(result) ? { notRun: true } : {}),
    shell: result.shell,
    durationMs: result.durationMs,
  };
}

/** By what bash says of a command that it can't execute or find, or whose syntax is wrong. */
function couldNotRun({ end, exitCode, output }: CommandResult): boolean {
  if (end !== 'exited') return false;
  return exitCode === 126 || exitCode === 127 || (exitCode === 2 && SYNTAX_ERROR.test(output));
}

const SYNTAX_ERROR = /^bash: (?:-c: )?line \d+: (?:syntax error|unexpected EOF)/m;

/** The output, clipped, then one bracketed line for each thing that is not as usual. */
export function renderCommand(result: CommandResult, timeoutMs: number, maxChars: number): string {
  const output =
    result.output === '' ? '[the command printed nothing]' : clip(result.output, maxChars);
  return [output.replace(/\n$/, ''), ...remarks(result, timeoutMs)].join('\n');
}

function remarks(result: CommandResult, timeoutMs: number): string[] {
  const lines: string[] = [];
  if (result.omittedBytes > 0) {
    lines.push(
      `[${result.omittedBytes} of ${result.outputBytes} bytes of output were not kept; they are missing in the middle]`,
    );
  }
  switch (result.end) {
    case 'exited':
      if (result.exitCode !== null && result.exitCode !== 0) {
        lines.push(`[exit code ${result.exitCode}]`);
      }
      break;
    case 'timed-out':
      lines.push(
        `[killed after ${timeoutMs / 1000} s; every process of yours in the sandbox was ended]`,
      );
      break;
    case 'oom':
      lines.push('[killed: the sandbox ran out of memory]');
      break;
    case 'disk':
      lines.push("[the sandbox's disk is full]");
      break;
    case 'disk-limit':
      lines.push('[killed: more was written than a sandbox may keep]');
      break;
  }
  if (result.background) lines.push('[the command left processes running in the background]');
  return lines;
}
