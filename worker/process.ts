#!/usr/bin/env node
/** Entry of a worker process; tells its parent when it is ready, or why it can't be. */

import { readEnvironment } from './environment.ts';
import { runWorker } from './main.ts';

try {
  await runWorker(readEnvironment(process.env), process.env, () => process.send?.({ ready: true }));
  process.exit(0);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.send?.({ ready: false, message });
  process.stderr.write(`twinpatch worker: ${message}\n`);
  process.exit(1);
}
