#!/usr/bin/env node
/** The `twinpatch` command: the only place that exits and prints errors. */

import { describeError, EXIT } from './errors.ts';
import { processIo, type Output } from './output.ts';
import { createProgram } from './program.ts';

for (const stream of [process.stdout, process.stderr]) {
  // Whoever read it has seen enough, as in `twinpatch functions | head`.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
}

const io = processIo();
let exitCode: number | string = EXIT.done;
try {
  await createProgram(io).parseAsync(process.argv);
  // A command that did its work and still has something to say, as that the budget is reached.
  exitCode = process.exitCode ?? EXIT.done;
} catch (error) {
  const end = describeError(error, { debug: Boolean(io.env['TWINPATCH_DEBUG']) });
  process.stderr.write(end.text);
  exitCode = end.exitCode;
}
await Promise.all([flush(process.stdout), flush(process.stderr)]);
process.exit(exitCode);

function flush(stream: Output): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()));
}
