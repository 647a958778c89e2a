/** `npm run chaos -- --faults N --seed N [--kind KIND]… [--json]`: random faults in batches of the scripted teacher, and whether anything was lost. */

import { parseArgs } from 'node:util';
import { isFault, KINDS } from './faults.ts';
import { isWhole, runChaos } from './run-chaos.ts';

const { values } = parseArgs({
  options: {
    faults: { type: 'string', default: '500' },
    seed: { type: 'string', default: '7' },
    kind: { type: 'string', multiple: true, default: Object.keys(KINDS) },
    json: { type: 'boolean', default: false },
  },
});
const [faults, seed] = [Number(values.faults), Number(values.seed)];
if (!Number.isInteger(faults) || faults < 1 || !Number.isInteger(seed)) {
  console.error('--faults and --seed are whole numbers, --faults at least 1');
  process.exit(2);
}
const unknown = values.kind.filter((name) => !isFault(name));
if (unknown.length > 0) {
  console.error(`no such kind: ${unknown.join(', ')}; there are ${Object.keys(KINDS).join(', ')}`);
  process.exit(2);
}
const interrupted = new AbortController();
let isEnough = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (isEnough || signal === 'SIGTERM') interrupted.abort(new Error(`ended by ${signal}`));
    else console.error('ends after this batch; Ctrl-C again ends it at once');
    isEnough = true;
  });
}
const run = await runChaos(
  { faults, seed, kinds: values.kind.filter(isFault) },
  (line) => console.error(line),
  { signal: interrupted.signal, isEnough: () => isEnough },
).catch((error: Error) => {
  if (!interrupted.signal.aborted) throw error;
  console.error(`${error.message}; what was started is removed`);
  process.exit(130);
});
console.log(values.json ? JSON.stringify(run.report) : run);
process.exitCode = isWhole(run) ? 0 : 1;
