/** `make-inputs.ts FOLDER`: what trainers are given by `npm run verify:trainers`: exports, tokenizers with chat templates, messages. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FORMAT_NAMES } from '../../dataset/formats/names.ts';
import { toTemplateInput } from '../../dataset/template-input.ts';
import { writeDataset } from '../../dataset/write.ts';
import { optionsOf, sample, side, stream } from '../dataset/fixtures.ts';
import { makeTarget, TEMPLATES } from '../support/target-folder.ts';
import { CONVERSATION_OPTIONS, ROLLOUT_NAMES, rowOf, trajectoryOf } from './conversations.ts';

const folder = process.argv[2] ?? '';
await mkdir(folder, { recursive: true });

for (const name of TEMPLATES) await makeTarget(join(folder, 'models'), name);

/** The messages of each row for each template. */
const cases = TEMPLATES.flatMap((template) =>
  (['hermes', 'xml', 'openai'] as const).flatMap((format) =>
    ROLLOUT_NAMES.map((rollout) => ({
      name: `${template} ${format} ${rollout}`,
      template,
      ...toTemplateInput(rowOf(rollout, format), false),
    })),
  ),
);
await writeFile(join(folder, 'cases.json'), JSON.stringify(cases));

const samples = ROLLOUT_NAMES.map((name) => {
  const { t1: _t1, ...rest } = sample(name, {
    t2: side(name, { trajectory: () => Promise.resolve(trajectoryOf(name)) }),
  });
  return rest;
});
for (const format of FORMAT_NAMES) {
  for (const fileType of format === 'atif'
    ? (['jsonl'] as const)
    : (['jsonl', 'parquet'] as const)) {
    await writeDataset(
      () => stream(samples),
      optionsOf({
        directory: join(folder, 'exports', `${format}-${fileType}`),
        planned: samples.length,
        conversation: CONVERSATION_OPTIONS,
        format,
        fileType,
      }),
    );
  }
}
