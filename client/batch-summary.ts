/** What a batch was and cost, as manifests and statistics tell it. */

import type { BatchSummary } from '../dataset/manifest.ts';
import type { BatchConfig } from '../domain/config.ts';
import { canonicalJson } from '../domain/ids.ts';
import { hasPrices } from '../domain/price.ts';
import { modelIdOf, settingsOf } from '../domain/stage-key.ts';
import type { BatchRecord, Store } from '../domain/store.ts';
import { publicName } from './finished-samples.ts';
import type { FindLicence } from './licences.ts';

export async function summarizeBatch(
  store: Store,
  batch: BatchRecord,
  findLicence: FindLicence,
): Promise<BatchSummary> {
  const { id, commits, config, versions } = batch;
  const teachers = teachersOf(config.teacher);
  const { calls, usage, costUsd, unpricedCalls } = await store.spend.total(id);
  const licences = new Set<string>();
  for (const { snapshot } of commits) licences.add((await findLicence(snapshot)).name);
  return {
    id,
    repository: publicName(batch),
    commits: commits.map(({ commit }) => commit),
    licences: [...licences],
    seed: config.targets.seed,
    teachers,
    profile: config.rollout.profile,
    versions,
    spent: {
      calls,
      inputTokens: usage.inputTokens,
      cachedInputTokens: usage.cachedInputTokens,
      outputTokens: usage.outputTokens,
      costUsd: hasPrices(config.teacher) && unpricedCalls === 0 ? costUsd : null,
    },
  };
}

// --- internal ---

/** The models that made the batch, each with how it is asked and what it costs. */
function teachersOf(teacher: BatchConfig['teacher']): BatchSummary['teachers'] {
  const endpoints = teacher.endpoints.length === 0 ? [undefined] : teacher.endpoints;
  const all = endpoints.map((endpoint) => {
    const { temperature, topP, maxTokens } = settingsOf(teacher, endpoint);
    const price = endpoint?.price ?? teacher.price;
    return {
      model: endpoint === undefined ? 'scripted' : modelIdOf(teacher, endpoint),
      temperature,
      topP,
      maxTokens: maxTokens ?? null,
      price: price ? { ...price, cachedInput: price.cachedInput ?? price.input } : null,
    };
  });
  return [...new Map(all.map((each) => [canonicalJson(each), each])).values()];
}
