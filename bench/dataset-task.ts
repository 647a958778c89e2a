/** One export of long rollouts in this process: `dataset-task.ts FOLDER TASK SAMPLES STEPS` prints what it took as a line of JSON. */

import { checkDataset } from '../dataset/check.ts';
import { parseCondition, parsePreference } from '../dataset/conditions.ts';
import { NO_VIEWS, type Views } from '../dataset/views.ts';
import { writeDataset } from '../dataset/write.ts';
import { optionsOf } from '../test/dataset/fixtures.ts';
import { longSamples } from './long-trajectories.ts';

/** Every view that reads or compares something, so that nothing is left out that an export can cost. */
const ALL_VIEWS: Views = {
  ...NO_VIEWS,
  conditions: ['t2: keptRatio >= 0.1', 'patchLines <= 40', 'think = 1'].map(parseCondition),
  distinctPatches: 0.8,
  distinctTrajectories: 0.8,
  maxPerFunction: 2,
  prefer: parsePreference('keptRatio'),
  stratify: 'file',
  heldOut: 0.1,
};

const [folder = '', task = '', samples = '', steps = ''] = process.argv.slice(2);
const count = Number(samples);
const startedAt = performance.now();
let bytes = 0;
if (task === 'check') {
  const problems = await checkDataset(folder);
  if (problems.length > 0) throw new Error(JSON.stringify(problems[0]));
} else {
  const manifest = await writeDataset(
    () => longSamples(count, Number(steps)),
    optionsOf({
      directory: folder,
      planned: count,
      fileType: task === 'parquet' ? 'parquet' : 'jsonl',
      views: task === 'views' ? ALL_VIEWS : NO_VIEWS,
    }),
  );
  if (task !== 'views' && manifest.t2.rows !== count)
    throw new Error(`${manifest.t2.rows} rows of ${count} samples`);
  bytes = manifest.files.reduce((total, file) => total + file.bytes, 0);
}
const seconds = (performance.now() - startedAt) / 1000;
const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
const cpuSeconds = (userCPUTime + systemCPUTime) / 1e6;
const memoryMiB = Math.round(maxRSS / 1024);
process.stdout.write(`${JSON.stringify({ seconds, cpuSeconds, bytes, memoryMiB })}\n`);
