/** The command line: every command, and what they share. */

import { Command } from '@commander-js/extra-typings';
import {
  registerCancel,
  registerPause,
  registerResume,
  registerRetry,
} from './commands/control.ts';
import { registerDemo } from './commands/demo.ts';
import { registerDoctor } from './commands/doctor.ts';
import { registerClean } from './commands/clean.ts';
import { registerDown } from './commands/down.ts';
import { registerExport } from './commands/export.ts';
import { registerRun } from './commands/run.ts';
import { registerShow } from './commands/show.ts';
import { registerStats } from './commands/stats.ts';
import { registerStatus } from './commands/status.ts';
import { registerTune } from './commands/tune.ts';
import { registerUp } from './commands/up.ts';
import { registerWorker } from './commands/worker.ts';
import { registerVerify } from './commands/verify.ts';
import { registerFunctions } from './commands/functions.ts';
import { registerInit } from './commands/init.ts';
import { registerPlan } from './commands/plan.ts';
import { registerPreview } from './commands/preview.ts';
import { registerRecall } from './commands/recall.ts';
import type { Io } from './output.ts';
import { packageVersion } from './package-root.ts';

/** In the order of `--help`. */
const REGISTRATIONS: ((program: Command, io: Io) => void)[] = [
  registerDemo,
  registerInit,
  registerDoctor,
  registerFunctions,
  registerPlan,
  registerPreview,
  registerRun,
  registerStatus,
  registerPause,
  registerResume,
  registerRetry,
  registerCancel,
  registerTune,
  registerShow,
  registerStats,
  registerRecall,
  registerVerify,
  registerExport,
  registerUp,
  registerDown,
  registerClean,
  registerWorker,
];

/** The program with all its commands; parsing throws CliError or CommanderError and never exits. */
export function createProgram(io: Io): Command {
  const program = new Command('twinpatch')
    .description('Turns a repository into verified training data for coding agents.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      // cli.ts shows errors, all in one form.
      outputError: () => {},
      getOutHelpWidth: () => io.stdout.columns ?? 100,
      getErrHelpWidth: () => io.stderr.columns ?? 100,
    })
    .addHelpText(
      'after',
      `
Examples:
  $ twinpatch init ~/code/project    write twinpatch.yaml after looking at a repository
  $ twinpatch plan                   what a batch would hold and cost; nothing is spent
  $ twinpatch preview                one real sample end to end, shown
  $ twinpatch functions --json       every function, and why it is left out

Exit codes: 0 done, 1 failed, 2 usage, 3 configuration, 4 budget reached, 130 interrupted.`,
    );
  for (const register of REGISTRATIONS) register(program, io);
  // commander's errors do not say of which command they are.
  for (const command of program.commands) {
    command.exitOverride((error) => {
      throw Object.assign(error, { command: command.name() });
    });
  }
  return program;
}
