/** `npm run chaos -- --faults N --seed N [--json]`: random faults in batches of the scripted teacher, and whether anything was lost. */

import { parseArgs } from 'node:util';
import { runChaos } from './run-chaos.ts';

const { values } = parseArgs({
  options: {
    faults: { type: 'string', default: '500' },
    seed: { type: 'string', default: '7' },
    json: { type: 'boolean', default: false },
  },
});
const [faults, seed] = [Number(values.faults), Number(values.seed)];
if (!Number.isInteger(faults) || faults < 1 || !Number.isInteger(seed)) {
  console.error('--faults and --seed are whole numbers, --faults at least 1');
  process.exit(2);
}
const report = await runChaos({ faults, seed }, (line) => console.error(line));
console.log(values.json ? JSON.stringify(report) : report);
const isWhole =
  report.lost + report.doubled + report.commandsRerun + report.leaks === 0 &&
  report.datasetEqual &&
  report.repliesRebought <= report.repliesExplained;
process.exitCode = isWhole ? 0 : 1;
