import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { finishedSamples } from '../../client/finished-samples.ts';
import { createFindLicence } from '../../client/licences.ts';
import { openStore } from '../../store/open.ts';
import { toBatch, toEnd, toSample } from '../support/batch-fixture.ts';

it('says what shaped the rows of a sample, sampling and limits included', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'twinpatch-store-'));
  const store = await openStore(folder);
  const batch = toBatch('b', store.id, {
    teacher: { scripted: {}, temperature: 0.3 },
    rollout: { maxSteps: 9, commandTimeout: '7s' },
  });
  await store.batches.put(batch);
  await store.batches.append('b', [toSample(0), toSample(1)]);
  await store.ends.record('b', toEnd(toSample(0).key, { attempt: 2 }));
  const finished = [];
  for await (const sample of finishedSamples(store, batch, createFindLicence(store)))
    finished.push(sample);
  await rm(folder, { recursive: true });
  expect(finished).toMatchObject([
    {
      sampleKey: toSample(0).key,
      provenance: {
        batch: 'b',
        function: 'parse_0',
        instruction: toSample(0).instructions[1],
        attempt: 2,
        sampling: { temperature: 0.3, topP: 1, maxTokens: null },
        profile: 'swe-agent',
        limits: {
          callsPerTurn: 'one',
          maxSteps: 9,
          commandTimeoutMs: 7_000,
          maxConsecutiveTimeouts: 3,
          maxToolTimeMs: 1_800_000,
          maxWallTimeMs: 3_600_000,
          maxTokens: 8_000_000,
          maxCostUsd: null,
          maxFormatErrors: 3,
          maxObservationChars: 16_000,
          maxPatchBytes: 1_048_576,
        },
      },
    },
  ]);
});
