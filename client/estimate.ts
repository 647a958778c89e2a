/** What a batch may take: a band, not a promise. */

import type { BatchConfig } from '../domain/config.ts';
import { priceOf } from '../domain/price.ts';
import type { History } from './history.ts';
import { DEFAULT_WINDOW } from './window.ts';

/** `[at least, at most]`. */
export type Band = [low: number, high: number];

export interface Estimate {
  rollouts: Band;
  /** Cached input included. */
  inputTokens: Band;
  cachedInputTokens: Band;
  outputTokens: Band;
  /** Null: no price is configured. */
  costUsd: Band | null;
  hours: Band;
  /** Samples that give a row of rollout 2; null without samples to know it from. */
  accepted: Band | null;
  /** What it is based on. */
  basis: string;
}

/** One rollout (SVG, arXiv 2601.20789, appendix D; measured there on agent trajectories of 32k tokens). */
const PER_ROLLOUT = { calls: 35, freshInput: 24_000, cachedInput: 750_000, output: 7_700 };
/** Rollout 2 after a first rollout 1 that is accepted, or after the third. */
const ROLLOUTS_PER_SAMPLE: Band = [2, 4];
/** Our assumption for a reply and the command that follows. */
const SECONDS_PER_CALL = 10;

/** The band for a number of samples on one host: from samples of before where there are some, else from published figures. */
export function estimate(
  samples: number,
  { teacher }: Pick<BatchConfig, 'teacher'>,
  history?: History,
): Estimate {
  const endpointCalls = teacher.endpoints.reduce((sum, each) => sum + each.maxConcurrency, 0);
  const atOnce = Math.min(samples, DEFAULT_WINDOW, endpointCalls || DEFAULT_WINDOW);
  const { perSample, basis } = history === undefined ? published(teacher) : measured(history);
  const price = teacher.price ?? teacher.endpoints[0]?.price;
  const band = (of: (taken: Taken) => number): Band => [
    of(perSample[0]) * samples,
    of(perSample[1]) * samples,
  ];
  const rounded = ([low, high]: Band): Band => [Math.round(low), Math.round(high)];
  return {
    rollouts: rounded(band(({ rollouts }) => rollouts)),
    inputTokens: rounded(band((taken) => taken.freshInput + taken.cachedInput)),
    cachedInputTokens: rounded(band(({ cachedInput }) => cachedInput)),
    outputTokens: rounded(band(({ output }) => output)),
    costUsd:
      price === undefined
        ? null
        : band(({ freshInput, cachedInput, output }) =>
            priceOf(
              {
                inputTokens: freshInput + cachedInput,
                cachedInputTokens: cachedInput,
                outputTokens: output,
                reasoningTokens: 0,
              },
              price,
            ),
          ),
    hours: band(({ seconds }) => seconds / atOnce / 3600),
    accepted: history === undefined ? null : acceptedBand(samples, history),
    basis: `${basis}; ${atOnce} samples at once`,
  };
}

// --- internal ---

/** By a sample. */
interface Taken {
  rollouts: number;
  freshInput: number;
  cachedInput: number;
  output: number;
  seconds: number;
}

interface PerSample {
  perSample: [low: Taken, high: Taken];
  basis: string;
}

function published({ scripted }: BatchConfig['teacher']): PerSample {
  const { calls, freshInput, cachedInput, output } = PER_ROLLOUT;
  const secondsPerCall =
    scripted === undefined ? SECONDS_PER_CALL : scripted.latencyMs / 1000 + 0.1;
  const seconds = calls * secondsPerCall;
  const rollout: Taken = { rollouts: 1, freshInput, cachedInput, output, seconds };
  const [low, high] = ROLLOUTS_PER_SAMPLE;
  return {
    perSample: [scale(rollout, low), scale(rollout, high)],
    basis: `${low} to ${high} rollouts a sample; per rollout ${calls} calls of ${secondsPerCall} s, ${freshInput / 1000}k new and ${cachedInput / 1000}k cached input tokens, ${output / 1000}k output tokens`,
  };
}

function measured({ samples, source, mean }: History): PerSample {
  const factor = uncertainty(samples);
  const { rollouts, seconds, usage } = mean;
  const taken: Taken = {
    rollouts,
    freshInput: usage.inputTokens - usage.cachedInputTokens,
    cachedInput: usage.cachedInputTokens,
    output: usage.outputTokens,
    seconds,
  };
  return {
    perSample: [scale(taken, 1 / factor), scale(taken, factor)],
    basis: `${samples} ${samples === 1 ? 'sample' : 'samples'} of ${source}: ${rollouts.toFixed(1)} rollouts of ${(seconds / rollouts).toFixed(0)} s a sample; within a factor of ${factor.toFixed(2)}`,
  };
}

/** What samples take differs about as much as their mean; that of n differs by the root of n less, and two of that is on either side. */
function uncertainty(samples: number): number {
  return 1 + 1 / Math.sqrt(samples);
}

function acceptedBand(samples: number, { samples: known, mean }: History): Band {
  const factor = uncertainty(known);
  const expected = samples * mean.accepted;
  return [Math.round(expected / factor), Math.round(Math.min(samples, expected * factor))];
}

function scale(taken: Taken, factor: number): Taken {
  const { rollouts, freshInput, cachedInput, output, seconds } = taken;
  return {
    rollouts: rollouts * factor,
    freshInput: freshInput * factor,
    cachedInput: cachedInput * factor,
    output: output * factor,
    seconds: seconds * factor,
  };
}
