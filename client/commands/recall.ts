/** `twinpatch recall`: the metric by itself. */

import type { Command } from '@commander-js/extra-typings';
import { CliError, EXIT } from '../errors.ts';
import { note, print, printJson, sanitizeLine, write, type Io } from '../output.ts';

interface RecallOptions {
  json?: true;
  jsonl?: true;
}

export function registerRecall(program: Command, io: Io): void {
  program
    .command('recall')
    .summary("share of a patch's changed lines that another patch contains")
    .description(
      "Share of the target patch's changed lines that the produced patch contains: `exact` reads the diffs' structure, `sera` gives what the reference implementation gives.",
    )
    .argument('[target]', 'file of the target patch, `-` for stdin')
    .argument('[produced]', 'file of the produced patch, `-` for stdin')
    .option('--json', 'print {exact, sera} as JSON')
    .option(
      '--jsonl',
      'read {id, target, produced} lines from stdin, print {id, exact, sera} lines',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ twinpatch recall target.patch produced.patch
  $ git diff | twinpatch recall target.patch - --json
  $ twinpatch recall --jsonl < pairs.jsonl > recalls.jsonl

Each of exact and sera: {recall, precision, f1, matched, targetLines, producedLines}; null where undefined.`,
    )
    .action(async (target, produced, options) => {
      if (options.jsonl) return runLines(target, options, io);
      return runPair(target, produced, options, io);
    });
}

// --- internal ---

async function runLines(target: string | undefined, { json }: RecallOptions, io: Io) {
  if (target !== undefined || json) {
    throw new CliError(EXIT.usage, '--jsonl stands alone — it reads pairs from stdin', {
      next: 'twinpatch recall --jsonl < pairs.jsonl',
    });
  }
  const { answerLines } = await import('../recall-lines.ts');
  let total = 0;
  let bad = 0;
  for await (const { line, answer } of answerLines(io.stdin)) {
    total += 1;
    await printJson(io, answer);
    if ('error' in answer) {
      bad += 1;
      await note(io, `line ${line}: ${sanitizeLine(answer.error)}`);
    }
  }
  if (bad > 0) {
    throw new CliError(EXIT.failed, `${bad} of ${total} lines could not be compared — see above`, {
      next: 'give {"id": …, "target": "<diff>", "produced": "<diff>"} on each line',
    });
  }
}

async function runPair(
  target: string | undefined,
  produced: string | undefined,
  { json }: RecallOptions,
  io: Io,
) {
  if (target === undefined || produced === undefined) {
    throw new CliError(EXIT.usage, 'two patches are needed — TARGET and PRODUCED', {
      next: 'twinpatch recall TARGET PRODUCED, or twinpatch recall --jsonl',
    });
  }
  if (target === '-' && produced === '-') {
    throw new CliError(EXIT.usage, 'both patches are `-` — stdin can be one of them', {
      next: 'give a file for the other one',
    });
  }
  const { bothRecalls } = await import('../recall-lines.ts');
  const { isUtf8 } = await import('node:buffer');
  const bytes = [await readPatch(target, io), await readPatch(produced, io)] as const;
  // Patches of old sources need not be UTF-8; one byte per character keeps their lines apart.
  const encoding = bytes.every((each) => isUtf8(each)) ? 'utf8' : 'latin1';
  const figures = bothRecalls(bytes[0].toString(encoding), bytes[1].toString(encoding));
  if (json) return printJson(io, figures);
  const { renderTable } = await import('../table.ts');
  const rows = Object.entries(figures).map(([mode, each]) => [
    mode,
    share(each.recall),
    share(each.precision),
    share(each.f1),
    each.matched,
    each.targetLines,
    each.producedLines,
  ]);
  const head = ['mode', 'recall', 'precision', 'f1', 'matched', 'target lines', 'produced lines'];
  await write(io.stdout, renderTable(head, rows, { stream: io.stdout, env: io.env }));
  if (figures.exact.recall === null) {
    await print(io, 'Recall is undefined: the target patch has no line that counts.');
  }
}

async function readPatch(path: string, io: Io): Promise<Buffer> {
  if (path === '-') {
    const { buffer } = await import('node:stream/consumers');
    return buffer(io.stdin);
  }
  const { readFile } = await import('node:fs/promises');
  const { resolve } = await import('node:path');
  try {
    return await readFile(resolve(io.cwd, path));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'it is not there' : message;
    throw new CliError(EXIT.failed, `${path} can't be read — ${why}`, { cause: error });
  }
}

function share(value: number | null): string {
  return value === null ? 'undefined' : value.toFixed(4);
}
