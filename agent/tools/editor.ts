/** The `str_replace_editor` tool over the sandbox's files; an edit is journaled as a Mark before the file is written. */

import { posix } from 'node:path';
import { z } from 'zod';
import { REPOSITORY_PATH } from '../../domain/ids.ts';
import { FileWriteRefused } from '../../domain/ports.ts';
import type { ToolSchema } from '../../domain/trajectory.ts';
import { clip } from '../clip.ts';
import { type Edited, insertAfter, numberLines, replaceOnce, showChange } from './edit-text.ts';
import { type EditMark, text, type Outcome, type ToolContext } from './tool.ts';

/** Larger files are not opened: their content would stand twice in the journal. */
const MAX_FILE_BYTES = 1024 * 1024;
const LISTED_LEVELS = 2;
const REMOVE_TIMEOUT_MS = 30_000;

const COMMANDS = ['view', 'create', 'str_replace', 'insert', 'undo_edit'] as const;
const path = text().min(1, 'is empty');

export const editorArguments = z.discriminatedUnion(
  'command',
  [
    z.strictObject({
      command: z.literal('view'),
      path,
      view_range: z.tuple([z.int(), z.int()]).optional(),
    }),
    z.strictObject({ command: z.literal('create'), path, file_text: text() }),
    z.strictObject({
      command: z.literal('str_replace'),
      path,
      old_str: text(),
      new_str: text().default(''),
    }),
    z.strictObject({ command: z.literal('insert'), path, insert_line: z.int(), new_str: text() }),
    z.strictObject({ command: z.literal('undo_edit'), path }),
  ],
  { error: `expected one of ${COMMANDS.join(', ')}` },
);
export type EditorArguments = z.infer<typeof editorArguments>;
type EditArguments = Exclude<EditorArguments, { command: 'view' }>;

export const STR_REPLACE_EDITOR: ToolSchema = {
  type: 'function',
  function: {
    name: 'str_replace_editor',
    description: `Looks at files and edits them.
- view: shows a file with line numbers, or what a folder holds, two levels deep.
- create: writes a new file; a file that exists is not overwritten.
- str_replace: replaces \`old_str\`, which must occur exactly once in the file, blanks included.
- insert: puts \`new_str\` on lines of its own after line \`insert_line\`.
- undo_edit: takes back the last edit that this tool made to the file.`,
    parameters: {
      type: 'object',
      properties: {
        command: { type: 'string', enum: [...COMMANDS], description: 'What to do.' },
        path: {
          type: 'string',
          description: `The file or folder, absolute or relative to ${REPOSITORY_PATH}.`,
        },
        view_range: {
          type: 'array',
          items: { type: 'integer' },
          minItems: 2,
          maxItems: 2,
          description: 'For view: first and last line, counted from 1; -1 is the end of the file.',
        },
        file_text: { type: 'string', description: 'For create: the content of the file.' },
        old_str: { type: 'string', description: 'For str_replace: the text to replace.' },
        new_str: {
          type: 'string',
          description:
            'For str_replace: the text put in its place, nothing when left out. For insert: the new lines.',
        },
        insert_line: {
          type: 'integer',
          description: 'For insert: the line after which to insert; 0 is before the first line.',
        },
      },
      required: ['command', 'path'],
      additionalProperties: false,
    },
  },
};

/** Views or edits. What the agent may know (no such file, not unique, no permission) is an observation of kind `error`. */
export async function runEditor(request: EditorArguments, context: ToolContext): Promise<Outcome> {
  const startedAt = performance.now();
  const { kind, content } = await respond(request, context);
  return {
    kind,
    content: clip(content, context.plan.limits.maxObservationChars),
    durationMs: performance.now() - startedAt,
  };
}

type Shown = Pick<Outcome, 'kind' | 'content'>;

const error = (content: string): Shown => ({ kind: 'error', content });

async function respond(request: EditorArguments, context: ToolContext): Promise<Shown> {
  if (request.path.includes('\0')) return error('The path contains a NUL character.');
  const file = posix.resolve(REPOSITORY_PATH, request.path);
  return request.command === 'view'
    ? view(file, request.view_range, context)
    : edit(request, file, context);
}

async function view(
  file: string,
  range: [number, number] | undefined,
  context: ToolContext,
): Promise<Shown> {
  const read = await context.sandbox.readFile(file, MAX_FILE_BYTES);
  if (read.kind === 'directory') return list(file, context);
  if (read.kind === 'missing') return error(`There is nothing at ${file}.`);
  if (read.kind === 'refused') return error(`${file} can't be viewed: ${read.reason}.`);
  if (read.truncated) return error(tooLarge(file, read.size));
  if (read.size === 0) return { kind: 'view', content: `${file} is empty.` };
  const shown = numberLines(new TextDecoder().decode(read.bytes), range);
  return 'text' in shown ? { kind: 'view', content: shown.text } : error(shown.refused);
}

async function list(folder: string, context: ToolContext): Promise<Shown> {
  const entries = await context.sandbox.list(folder, LISTED_LEVELS);
  if (entries === undefined) return error(`${folder} can't be listed.`);
  const lines = entries.map((entry) => entry.path + (entry.kind === 'directory' ? '/' : ''));
  const content =
    lines.length === 0
      ? `${folder} holds nothing but hidden files, if any.`
      : `${folder}, without hidden files:\n${lines.join('\n')}`;
  return { kind: 'view', content };
}

/** Evaluates the edit, unless its Mark is there already; then the file is written, which may safely happen twice. */
async function edit(request: EditArguments, file: string, context: ToolContext): Promise<Shown> {
  let mark = context.openEdit;
  if (mark === undefined) {
    const evaluated = await evaluate(request, file, context);
    if ('refused' in evaluated) return error(evaluated.refused);
    mark = { mark: 'edit', id: context.id, path: file, ...evaluated };
    await context.recordEdit(mark);
  }
  try {
    if (mark.after === null) await remove(mark.path, context);
    else await context.sandbox.writeFile(mark.path, new TextEncoder().encode(mark.after));
  } catch (failure) {
    if (!(failure instanceof FileWriteRefused)) throw failure;
    return error(`${mark.path} was not written: ${failure.message}`);
  }
  return { kind: 'edit', content: describe(request, mark) };
}

type Change = Pick<EditMark, 'before' | 'after'>;

async function evaluate(
  request: EditArguments,
  file: string,
  context: ToolContext,
): Promise<Change | { refused: string }> {
  const before = await readText(file, context);
  if (before !== null && typeof before === 'object') {
    return request.command === 'create'
      ? { refused: `${file} exists already; create makes new files only.` }
      : before;
  }
  if (request.command === 'create') {
    if (before === null) return { before, after: request.file_text };
    return { refused: `${file} exists already; change it with str_replace or insert.` };
  }
  if (request.command === 'undo_edit') return undo(file, before, context);
  if (before === null) return { refused: `There is no file at ${file}; make it with create.` };
  const edited: Edited =
    request.command === 'insert'
      ? insertAfter(before, request.insert_line, request.new_str)
      : replaceOnce(before, request.old_str, request.new_str);
  return 'text' in edited ? { before, after: edited.text } : edited;
}

/** Only what this tool wrote is taken back: a file that something else changed since is left alone. */
function undo(
  file: string,
  before: string | null,
  context: ToolContext,
): Change | { refused: string } {
  const last = context.editsOf(file).at(-1);
  if (last === undefined) return { refused: `There is no edit of ${file} to take back.` };
  if (last.after !== before) {
    return {
      refused: `${file} was changed by something else after the last edit, so that edit can't be taken back.`,
    };
  }
  return { before, after: last.before };
}

/** The text of a file, null where there is none, or why it can't be edited. */
async function readText(
  file: string,
  context: ToolContext,
): Promise<string | null | { refused: string }> {
  const read = await context.sandbox.readFile(file, MAX_FILE_BYTES);
  switch (read.kind) {
    case 'missing':
      return null;
    case 'directory':
      return { refused: `${file} is a folder.` };
    case 'refused':
      return { refused: `${file} can't be edited: ${read.reason}.` };
    case 'file':
      break;
  }
  if (read.truncated) return { refused: tooLarge(file, read.size) };
  try {
    // A byte-order mark is part of the text here: it has to be written back.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(read.bytes);
  } catch {
    return {
      refused: `${file} is not UTF-8 text, and an edit here would damage it; use bash with a tool that knows its encoding.`,
    };
  }
}

function tooLarge(file: string, size: number): string {
  return `${file} has ${size} bytes, and this tool opens files up to ${MAX_FILE_BYTES}; use bash, for example with sed -n.`;
}

async function remove(file: string, context: ToolContext): Promise<void> {
  const result = await context.sandbox.run(
    {
      id: `${context.id}/remove`,
      command: `rm -f -- '${file.replaceAll("'", `'\\''`)}'`,
      shell: { cwd: '/', env: {} },
      timeoutMs: REMOVE_TIMEOUT_MS,
      maxOutputBytes: 1000,
    },
    context.signal,
  );
  if (result.exitCode !== 0) throw new FileWriteRefused(result.output.trim());
}

function describe(request: EditArguments, { path: file, before, after }: EditMark): string {
  if (request.command === 'create') return `Created ${file}.`;
  const done = request.command === 'undo_edit' ? `Took back the last edit of` : `Edited`;
  if (after === null) return `${done} ${file}: it no longer exists.`;
  return `${done} ${file}. Around the change it now reads:\n${showChange(before ?? '', after)}`;
}
