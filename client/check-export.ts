/** The check of an export: rows read back, and rendered for the model they are for where its tokenizer is named. */

import { checkDataset } from '../dataset/check.ts';
import type { RenderingReport, RowForm } from '../dataset/row-rendering.ts';
import type { CountTokens } from '../dataset/tokens.ts';

export interface ExportCheck {
  /** Control tokens of the named tokenizer, which no row may hold. */
  ownTokens: string[];
  /** Of the named tokenizer. */
  countTokens: CountTokens | undefined;
  /** Problems of the rows in the folder, one line each; none where nothing was asked for. */
  run(directory: string): Promise<{ problems: string[]; rendering: RenderingReport | undefined }>;
}

/** Reads the tokenizer, before any row is written. Throws DatasetError where it, or the form of the rows, is of no use. */
export async function prepareCheck(
  { check, tokenizer }: { check?: boolean | undefined; tokenizer?: string | undefined },
  form: RowForm,
): Promise<ExportCheck> {
  if (tokenizer === undefined) {
    return {
      ownTokens: [],
      countTokens: undefined,
      run: async (directory) => ({
        problems: check === true ? (await checkDataset(directory)).map(renderProblem) : [],
        rendering: undefined,
      }),
    };
  }
  const { openTarget } = await import('../dataset/target.ts');
  const { createRenderingCheck } = await import('../dataset/row-rendering.ts');
  const target = await openTarget(tokenizer);
  const rendering = createRenderingCheck(target, form);
  return {
    ownTokens: target.controlTokens,
    countTokens: (text) => target.encode(text).length,
    run: async (directory) => ({
      problems: (await checkDataset(directory, rendering.check)).map(renderProblem),
      rendering: rendering.report,
    }),
  };
}

// --- internal ---

function renderProblem({ file, line, message }: Awaited<ReturnType<typeof checkDataset>>[number]) {
  return `${file}${line === null ? '' : `:${line}`}: ${message}`;
}
