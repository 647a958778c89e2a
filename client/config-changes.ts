/** What differs between the configuration a batch was started with and one given later. */

import type { BatchConfig } from '../domain/config.ts';
import { canonicalJson } from '../domain/ids.ts';
import { redactCredentials } from '../repository/git.ts';
import { modelIdOf, modelsOf } from '../domain/stage-key.ts';

/** A key as it stands in twinpatch.yaml, with its values as text. */
export interface Change {
  key: string;
  from: string;
  to: string;
}

export interface Changes {
  /** Of what determines the samples. */
  pinned: Change[];
  /** Of what does not: where the teacher is, what it costs and how long it may take, the budget, the store, how patches are judged. */
  free: Change[];
  /** Samples beyond those of the earlier configuration; 0 when there are none, or fewer (then `pinned` has the change). */
  moreSamples: number;
}

export function compareConfigs(before: BatchConfig, after: BatchConfig): Changes {
  const moreSamples = Math.max(0, after.targets.samples - before.targets.samples);
  const pinned = changedKeys(split(before).pinned, split(after).pinned);
  return {
    pinned: moreSamples > 0 ? pinned.filter(({ key }) => key !== SAMPLES_KEY) : pinned,
    free: changedKeys(split(before).free, split(after).free),
    moreSamples,
  };
}

/** What determines the samples of a configuration but their number, as a text that is the same for the same values. */
export function pinnedValues(config: BatchConfig): string {
  const { pinned } = split(config);
  const { name: _, targets, repository, ...rest } = pinned;
  const { samples: _samples, ...targeted } = targets;
  const source = redactCredentials(repository.source);
  return canonicalJson({ ...rest, targets: targeted, repository: { ...repository, source } });
}

export function renderChange({ key, from, to }: Change): string {
  return `${key}: ${from} → ${to}`;
}

// --- internal ---

const SAMPLES_KEY = 'targets.samples';
const MAX_SHOWN_CHARS = 60;

function split({ store, budget, teacher, verification, ...rest }: BatchConfig) {
  const { maxLeak, ...judging } = verification;
  const { endpoints, price, deadlines, ...sampling } = teacher;
  const { totalMs, firstByteMs, idleMs } = deadlines;
  const model = endpoints.length === 0 ? [] : modelsOf(teacher);
  // Another endpoint of the same settings is no change, and no settings of their own are none either.
  const own = endpoints.flatMap((endpoint) => {
    const { content } = partsOf(endpoint);
    const told = canonicalJson({ model: modelIdOf(teacher, endpoint), ...content });
    return canonicalJson(content) === '{}' ? [] : [told];
  });
  return {
    pinned: {
      ...rest,
      verification: { maxLeak },
      teacher: { ...sampling, model, endpoints: [...new Set(own)].sort() },
    },
    free: {
      store,
      budget,
      // What is bought stays what it is; `verify` judges it anew.
      verification: judging,
      teacher: {
        endpoints: endpoints.map((endpoint) => partsOf(endpoint).where),
        price,
        callTimeoutMs: totalMs,
        firstByteTimeoutMs: firstByteMs,
        idleTimeoutMs: idleMs,
      },
    },
  };
}

/** An endpoint's settings: what determines the text of its model, and where and how it is reached. */
function partsOf(endpoint: BatchConfig['teacher']['endpoints'][number]) {
  const {
    model: _name,
    modelId: _id,
    temperature,
    topP,
    maxTokens,
    thinking,
    ...others
  } = endpoint;
  const { reasoningField, body, ...where } = others;
  const sendsReasoning = reasoningField === undefined ? undefined : true;
  return { content: { temperature, topP, maxTokens, thinking, sendsReasoning, body }, where };
}

function changedKeys(before: object, after: object): Change[] {
  const [old, fresh] = [flatten(before), flatten(after)];
  return [...new Set([...old.keys(), ...fresh.keys()])]
    .sort()
    .filter((key) => canonicalJson(old.get(key)) !== canonicalJson(fresh.get(key)))
    .map((key) => ({
      key: writtenKey(key),
      from: show(key, old.get(key)),
      to: show(key, fresh.get(key)),
    }));
}

/** Values by dotted key; lists are values. */
function flatten(holder: object, prefix = ''): Map<string, unknown> {
  return new Map(
    Object.entries(holder).flatMap(([key, value]: [string, unknown]) =>
      value !== null && typeof value === 'object' && !Array.isArray(value)
        ? [...flatten(value, `${prefix}${key}.`)]
        : [[`${prefix}${key}`, value] as const],
    ),
  );
}

/** The parsed configuration has milliseconds and bytes; a file has `300s` and `2GiB`. */
function writtenKey(key: string): string {
  if (key.endsWith('.memoryBytes')) return key.replace(/Bytes$/, '');
  return key.replace(/Ms$/, '').replace(/Bytes$/, 'Size');
}

function show(key: string, value: unknown): string {
  if (value === undefined) return 'unset';
  if (typeof value === 'number' && key.endsWith('Ms')) return inUnits(value, DURATIONS);
  if (typeof value === 'number' && key.endsWith('Bytes')) return inUnits(value, SIZES);
  const isLine = typeof value === 'string' && !value.includes('\n');
  const text = isLine ? value : JSON.stringify(value);
  return text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)}…` : text;
}

const DURATIONS: [string, number][] = [
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];
const SIZES: [string, number][] = [
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
  ['B', 1],
];

function inUnits(value: number, units: [string, number][]): string {
  const [name, size] = units.find(([, each]) => value !== 0 && value % each === 0) ?? ['ms', 1];
  return `${value / size}${name}`;
}
