/** The `swe-agent` profile: its tools, how their calls are read, and how they are performed. */

import type { z } from 'zod';
import type { ToolSchema } from '../../domain/trajectory.ts';
import { BASH, bashArguments, runBash } from './bash.ts';
import { editorArguments, runEditor, STR_REPLACE_EDITOR } from './editor.ts';
import { SUBMIT, submit, submitArguments } from './submit.ts';
import type { Outcome, ToolContext } from './tool.ts';

/** Part of a rollout's key: it changes when tools, their texts or their behaviour do. */
export const PROFILE_VERSION = 'swe-agent/1';

export const TOOLS: ToolSchema[] = [BASH, STR_REPLACE_EDITOR, SUBMIT];

/** A tool call that can be performed. */
export type ToolUse =
  | { tool: 'bash'; args: z.infer<typeof bashArguments> }
  | { tool: 'str_replace_editor'; args: z.infer<typeof editorArguments> }
  | { tool: 'submit' };

/** Reads a call's parsed arguments; the problem, in words for the teacher, where they don't fit. */
export function parseToolUse(
  name: string,
  args: Record<string, unknown>,
): ToolUse | { problem: string } {
  switch (name) {
    case 'bash': {
      const parsed = bashArguments.safeParse(args);
      return parsed.success ? { tool: name, args: parsed.data } : toProblem(name, parsed.error);
    }
    case 'str_replace_editor': {
      const parsed = editorArguments.safeParse(args);
      return parsed.success ? { tool: name, args: parsed.data } : toProblem(name, parsed.error);
    }
    case 'submit': {
      const parsed = submitArguments.safeParse(args);
      return parsed.success ? { tool: name } : toProblem(name, parsed.error);
    }
    default:
      return { problem: `there is no tool \`${name}\`` };
  }
}

/** Throws SandboxLost, EngineUnavailable, or the signal's reason; everything the agent may know is an outcome. */
export function performTool(use: ToolUse, context: ToolContext): Promise<Outcome> {
  switch (use.tool) {
    case 'bash':
      return runBash(use.args, context);
    case 'str_replace_editor':
      return runEditor(use.args, context);
    case 'submit':
      return submit(context);
  }
}

function toProblem(tool: string, { issues }: z.ZodError): { problem: string } {
  const lines = issues.map(({ path, message }) =>
    path.length === 0 ? message : `\`${path.join('.')}\`: ${message}`,
  );
  return { problem: `the arguments of ${tool} do not fit: ${lines.join('; ')}` };
}
