/** The first reading of an export: which rollouts can become rows, and why the others can't. */

import { DatasetError } from './folder.ts';
import { toConversation, type ConversationOptions } from './conversation.ts';
import type { Format } from './formats/format.ts';
import {
  addOne,
  countVerdict,
  emptySampleCounts,
  type DatasetManifest,
  type RowCounts,
} from './manifest.ts';
import { toOrigin, type Example } from './row.ts';
import {
  KINDS,
  select,
  type FinishedSample,
  type Kind,
  type RolloutSide,
  type SelectOptions,
} from './select.ts';

/** A rollout that can become a row. */
export interface Candidate {
  /** The rollout's id. */
  id: string;
  kind: Kind;
  simulated: boolean;
}

export interface Survey {
  /** In the order of the samples. */
  candidates: Candidate[];
  samples: DatasetManifest['samples'];
  lost: Record<Kind, RowCounts['lost']>;
}

export interface SurveyOptions extends SelectOptions {
  conversation: ConversationOptions;
  /** Samples in the plans; those that are not brought are counted as unfinished. */
  planned: number;
}

/** Reads every finished sample once; one trajectory is in memory at a time. Throws DatasetError. */
export async function surveySamples(
  samples: AsyncIterable<FinishedSample>,
  format: Format,
  options: SurveyOptions,
): Promise<Survey> {
  const counts = emptySampleCounts(options.planned);
  const lost: Survey['lost'] = { t1: {}, t2: {} };
  const candidates: Candidate[] = [];
  for await (const sample of samples) {
    countVerdict(counts, sample.verdict);
    if (counts.unfinished < 0) throw tooManySamples(options.planned, sample.sampleKey);
    for (const kind of KINDS) {
      const selected = select(kind, sample, options);
      const read =
        'lost' in selected ? selected : await readExample(sample, selected.side, options);
      const reason = 'lost' in read ? read.lost : format.lossOf(read.example.conversation);
      if (reason !== undefined) addOne(lost[kind], reason);
      else if ('example' in read) candidates.push(toCandidate(kind, read.side));
    }
  }
  refuseMixture(candidates);
  return { candidates, samples: counts, lost };
}

/** The training example of a rollout, or why there is none. Throws DatasetError where the store lacks the trajectory. */
export async function readExample(
  sample: FinishedSample,
  side: RolloutSide,
  { conversation: options }: Pick<SurveyOptions, 'conversation'>,
): Promise<{ example: Example; side: RolloutSide } | { lost: string }> {
  const trajectory = await side.trajectory().catch((cause: unknown) => {
    throw new DatasetError(
      `the trajectory of ${side.rolloutId} cannot be read: ${String(cause)}; look at the store with \`twinpatch doctor\``,
      { cause },
    );
  });
  const read = toConversation(trajectory, options);
  if ('lost' in read) return read;
  const origin = toOrigin({
    instanceId: sample.sampleKey,
    rollout: side.rolloutId,
    recall: sample.recall,
    simulated: side.simulated,
    provenance: { ...sample.provenance, ...side.provenance },
  });
  return { example: { conversation: read.conversation, trajectory, origin }, side };
}

// --- internal ---

function toCandidate(kind: Kind, { rolloutId, simulated }: RolloutSide): Candidate {
  return { id: rolloutId, kind, simulated };
}

function refuseMixture(candidates: Candidate[]): void {
  const scripted = candidates.find(({ simulated }) => simulated);
  const real = candidates.find(({ simulated }) => !simulated);
  if (!scripted || !real) return;
  throw new DatasetError(
    `${scripted.id} was written by the scripted teacher and ${real.id} by a real one: export their batches apart`,
  );
}

function tooManySamples(planned: number, sampleKey: string): DatasetError {
  return new DatasetError(
    `${planned} samples are planned, and ${sampleKey} is one more: is a batch named twice?`,
  );
}
