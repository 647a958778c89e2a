/** A batch and its samples, as the client writes them into a store. */

import { type BatchConfigInput, batchConfigSchema } from '../../domain/config.ts';
import { DEMONSTRATIONS } from '../../domain/demonstrations.ts';
import { sampleKey } from '../../domain/ids.ts';
import { INSTRUCTIONS } from '../../domain/instructions.ts';
import type { Sample, SampleEnd } from '../../domain/sample.ts';
import type { BatchRecord } from '../../domain/store.ts';
import { NO_USAGE } from '../../domain/trajectory.ts';
import { sha256 } from '../../store/blobs.ts';

export function toBatch(
  id: string,
  storeId: string,
  config: Partial<BatchConfigInput> = {},
): BatchRecord {
  return {
    id,
    storeId,
    formatVersion: 1,
    config: batchConfigSchema.parse({ name: id, teacher: { scripted: {} }, ...config }),
    repository: 'example',
    commits: [],
    functions: { found: 0, eligible: 0 },
    simulated: true,
    versions: {},
    createdAt: '2026-01-01T00:00:00.000Z',
  };
}

export function toSample(index: number): Sample {
  const instruction = (attempt: number) => INSTRUCTIONS[attempt]?.id ?? '';
  return {
    key: sampleKey(index, sha256(`sample ${index}`)),
    index,
    commit: 'c'.repeat(40),
    snapshot: `sha256:${'0'.repeat(64)}`,
    target: {
      file: 'http/headers.py',
      name: `parse_${index}`,
      kind: 'function',
      language: 'python',
      startLine: 1,
      endLine: 9,
    },
    instructions: [instruction(0), instruction(1), instruction(2)],
    demonstration: DEMONSTRATIONS[0]?.id ?? '',
    seed: index,
  };
}

export function toSamples(count: number, from = 0): Sample[] {
  return Array.from({ length: count }, (_, offset) => toSample(from + offset));
}

export function toEnd(key: string, end: Partial<SampleEnd> = {}): SampleEnd {
  return {
    key,
    generation: 1,
    verdict: { kind: 'verified' },
    results: {},
    spent: { usage: NO_USAGE, costUsd: 0 },
    wasted: { usage: NO_USAGE, costUsd: 0 },
    endedAt: '2026-01-01T00:00:00.000Z',
    ...end,
  };
}
