/** `twinpatch export`: rows on disk. */

import { Option, type Command } from '@commander-js/extra-typings';
import type { DatasetManifest } from '../../dataset/manifest.ts';
import type { RenderingReport } from '../../dataset/row-rendering.ts';
import { CliError, EXIT } from '../errors.ts';
import { type Io, note, print, printJson, sanitizeLine, write } from '../output.ts';
import { parseCount, JSON_OPTION, STORE_OPTION } from '../options.ts';
import { printRendering } from '../print-rendering.ts';
import { withSelection } from '../selection-options.ts';

export function registerExport(program: Command, io: Io): void {
  const command = program
    .command('export')
    .argument('[batches...]')
    .description('write the rows of batches: T1, T2 and a manifest');
  withSelection(command)
    .addOption(
      new Option('--arguments <type>', 'how openai rows hold the arguments of calls')
        .choices(['object', 'string'] as const)
        .default('object' as const),
    )
    .addOption(
      new Option('--file-type <type>', 'type of the files')
        .choices(['jsonl', 'parquet'] as const)
        .default('jsonl' as const),
    )
    .option('--shard-rows <n>', 'rows of a file at most', parseCount)
    .option('--out <folder>', 'folder to write (default: out/BATCH)')
    .option('--check', 'read the rows back and verify each')
    .option(
      '--tokenizer <folder>',
      "render each row with this model's chat template and count its tokens; implies --check",
    )
    .option(...STORE_OPTION)
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nExamples:\n  $ twinpatch export headers --min-recall 0.5\n  $ twinpatch export headers cookies --out data/web --format openai --check\n  $ twinpatch export headers --file-type parquet --shard-rows 5000\n  $ twinpatch export headers --where "patchLines <= 40" --where "keptRatio >= 0.88" --distinct-patches --t1-rows 5000 --t2-rows 3000 --prefer keptRatio\n  $ twinpatch export headers --max-per-function 2 --held-out 0.1\n  $ twinpatch export headers --check --tokenizer models/qwen3',
    )
    .action(async (names, options) => {
      const { resolve } = await import('node:path');
      const { openSession, requireBatches } = await import('../session.ts');
      const { exportBatches } = await import('../export-batch.ts');
      const { store } = await openSession(io, options);
      const batches = await requireBatches(store, names);
      const name = batches.map(({ id }) => id).join('+');
      const folder = resolve(io.cwd, options.out ?? `out/${name}`);
      const { manifest, problems, rendering } = await exportBatches(store, batches, folder, {
        ...options,
        tokenizer: options.tokenizer && resolve(io.cwd, options.tokenizer),
      });
      if (options.json) await printJson(io, { ...manifest, directory: folder, rendering });
      else await printManifest(io, manifest, folder);
      if (rendering && options.json !== true) await printRendering(io, rendering);
      for (const problem of problems) await note(io, sanitizeLine(problem));
      if (problems.length > 0) throw failedCheck(problems, rendering);
      if ((options.check === true || rendering) && options.json !== true)
        await print(io, 'every row passes the check');
    });
}

// --- internal ---

function failedCheck(problems: string[], rendering: RenderingReport | undefined): CliError {
  const failed = `the check found ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}`;
  if (!rendering?.isLossy) return new CliError(EXIT.failed, failed);
  const next =
    rendering.wouldWork.length === 0
      ? "no format keeps all of it with this chat template; leave rows with refused replies out (--where 'untrained = 0'), or train with another template, such as ChatML with --format hermes"
      : `this chat template keeps all of it with ${rendering.wouldWork.join(', or with ')}`;
  return new CliError(EXIT.failed, `${failed}: ${next}`);
}

async function printManifest(io: Io, manifest: DatasetManifest, folder: string): Promise<void> {
  const { join } = await import('node:path');
  for (const file of manifest.files)
    await print(io, `${join(folder, file.name)}  ${file.rows} rows`);
  for (const kind of ['t1', 't2'] as const) {
    const lost = Object.entries(manifest[kind].lost).map(([reason, count]) => `${reason} ${count}`);
    if (lost.length > 0) await print(io, `left out of ${kind}: ${lost.join(', ')}`);
  }
  if (manifest.views.length > 0) {
    const { renderViews } = await import('../render-views.ts');
    await write(io.stdout, `\n${renderViews(manifest.views, io)}`);
  }
  if (manifest.simulated)
    await print(io, 'SIMULATED: made by the scripted teacher, must not be used for training');
}
