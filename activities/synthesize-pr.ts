/** Claims the target patch, then has the teacher turn rollout 1 into a pull-request text that gives little of it away. */

import { demonstrationsOf } from '../domain/demonstrations.ts';
import { type Leak, leakOf } from '../domain/leak.ts';
import {
  parsePullRequest,
  promptsOf,
  render,
  renderAvoid,
  renderSteps,
} from '../domain/prompts.ts';
import type { RolloutResult, Spent, SyntheticPrResult } from '../domain/sample.ts';
import { samplingOf, stageName } from '../domain/stage-key.ts';
import { addCost, addUsage, NO_USAGE, type Trajectory } from '../domain/trajectory.ts';
import { askUntil, rememberIn } from './ask.ts';
import { codeBefore } from './code-before.ts';
import type { MainDeps } from './deps.ts';
import { failure } from './failures.ts';
import { callScope, readResult, readSample, runStage, type StageInput } from './stage.ts';

/** A text that leaks too much is written again at most twice. */
const TEXTS = 3;

export interface SynthesizePrInput extends StageInput {
  attempt: number;
  /** Ledger name of the rollout to describe. */
  rollout1: string;
}

export function createSynthesizePr({ store, hash, teacherFor, waitingFor, snapshots }: MainDeps) {
  /** Returns the text with the lowest leak; none is bought when another sample of the batch has the same patch. */
  return function synthesizePr(input: SynthesizePrInput): Promise<SyntheticPrResult> {
    return runStage(
      'synthetic PR',
      async ({ signal }) => {
        const { batch, sample } = await readSample(store, input);
        const { syntheticPr: template } = promptsOf(batch.config.prompts);
        const demonstration = demonstrationsOf(batch.config.prompts.demonstrations).find(
          ({ id }) => id === sample.demonstration,
        );
        if (demonstration === undefined) {
          throw failure(
            'InvalidConfig',
            `demonstration ${sample.demonstration} is not among the texts of the batch`,
          );
        }
        const { maxLeak } = batch.config.verification;
        const name = stageName(
          `synthetic-pr.${input.attempt}`,
          {
            template,
            demonstration: demonstration.text,
            rollout1: input.rollout1,
            sampling: samplingOf(batch.config.teacher, sample.key),
            maxLeak,
            generation: input.generation,
          },
          hash,
        );
        const key = { batchId: input.batchId, sampleKey: input.sampleKey, name };
        const finished = await store.ledger.get<SyntheticPrResult>(key);
        if (finished !== undefined) return finished;

        const rollout1 = await readResult<RolloutResult>(store, input, input.rollout1);
        if (rollout1.patch === null)
          throw failure('InvalidSample', `${input.rollout1} has no patch`);
        const nothing = { key: name, text: null, leak: 0, tries: 0, spent: NOTHING };
        const owner = await store.ledger.claim(
          input.batchId,
          rollout1.patch.ref.slice(7),
          input.sampleKey,
        );
        if (owner !== input.sampleKey) {
          return store.ledger.put<SyntheticPrResult>(key, { ...nothing, duplicateOf: owner });
        }

        const patch = Buffer.from(await store.blobs.get(rollout1.patch.ref)).toString();
        const trajectory = await store.blobs.getJson<Trajectory>(rollout1.trajectory);
        const teacher = await teacherFor(batch);
        const before = await codeBefore(snapshots, sample, patch);
        let best: { text: string; leak: Leak } | undefined;
        let spent: Spent = NOTHING;
        let tries = 0;
        while (tries < TEXTS && (best === undefined || best.leak.score > maxLeak)) {
          tries += 1;
          const avoided = best?.leak.given ?? [];
          const written = await askUntil({
            teacher,
            scope: callScope(input, `${name}.${tries}`),
            signal,
            once: rememberIn(store.ledger, { ...key, name: `${name}.${tries}` }),
            prompt: (maxChars) =>
              [
                render(template, {
                  demonstration: demonstration.text,
                  steps: renderSteps(trajectory, maxChars),
                }),
                ...(avoided.length === 0 ? [] : [renderAvoid(avoided)]),
              ].join('\n\n'),
            parse: parsePullRequest,
          });
          spent = {
            usage: addUsage(spent.usage, written.spent.usage),
            costUsd: addCost(spent.costUsd, written.spent.costUsd),
          };
          if (written.answer === undefined) break;
          const leak = leakOf(written.answer, patch, before);
          if (best === undefined || leak.score < best.leak.score)
            best = { text: written.answer, leak };
        }
        return store.ledger.put<SyntheticPrResult>(key, {
          key: name,
          duplicateOf: null,
          text: best === undefined ? null : await store.blobs.put(Buffer.from(best.text)),
          leak: best?.leak.score ?? 0,
          tries,
          spent,
        });
      },
      () => waitingFor(input.batchId, input.sampleKey),
    );
  };
}

// --- internal ---

const NOTHING: Spent = { usage: NO_USAGE, costUsd: 0 };
