/** `twinpatch doctor`: checks what a batch needs; one fix per failed line. */

import type { Command } from '@commander-js/extra-typings';
import { EXIT } from '../errors.ts';
import { colorsOf, type Io, print, printJson } from '../output.ts';
import { JSON_OPTION, STORE_OPTION, TEMPORAL_OPTION } from '../options.ts';

export function registerDoctor(program: Command, io: Io): void {
  program
    .command('doctor')
    .description('check git, engine, image, server, worker, teacher, disk and prices')
    .option('--config <file>', 'configuration (default: the nearest twinpatch.yaml, if any)')
    .option(...STORE_OPTION)
    .option(...TEMPORAL_OPTION)
    .option(...JSON_OPTION)
    .addHelpText('after', '\nExample:\n  $ twinpatch doctor')
    .action(async (options) => {
      const { diagnose } = await import('../diagnose.ts');
      const findings = await diagnose(io, options);
      const colors = colorsOf(io.stdout, io.env);
      for (const finding of findings) {
        if (options.json) {
          await printJson(io, finding);
          continue;
        }
        const mark = finding.ok ? colors.green('ok') : colors.red('no');
        await print(io, `${mark}  ${finding.check.padEnd(14)} ${finding.message}`);
        if (finding.fix !== undefined) await print(io, `    fix: ${finding.fix}`);
      }
      if (findings.some(({ ok }) => !ok)) process.exitCode = EXIT.failed;
    });
}
