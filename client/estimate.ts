/** What a batch may take: a band from published figures, not a promise. */

import type { BatchConfig } from '../domain/config.ts';
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
  /** What it is based on. */
  basis: string;
}

/** One rollout (SVG, arXiv 2601.20789, appendix D; measured there on agent trajectories of 32k tokens). */
const PER_ROLLOUT = { calls: 35, freshInput: 24_000, cachedInput: 750_000, output: 7_700 };
/** Rollout 2 after a first rollout 1 that is accepted, or after the third. */
const ROLLOUTS_PER_SAMPLE: Band = [2, 4];
/** Our assumption for a reply and the command that follows. */
const SECONDS_PER_CALL = 10;

/** The band for a number of samples on one host. */
export function estimate(samples: number, { teacher }: Pick<BatchConfig, 'teacher'>): Estimate {
  const endpointCalls = teacher.endpoints.reduce((sum, each) => sum + each.maxConcurrency, 0);
  const concurrency = Math.min(samples, DEFAULT_WINDOW, endpointCalls || DEFAULT_WINDOW);
  const { calls, freshInput, cachedInput, output } = PER_ROLLOUT;
  const secondsPerCall =
    teacher.scripted === undefined ? SECONDS_PER_CALL : teacher.scripted.latencyMs / 1000 + 0.1;
  const scale = (perRollout: number): Band => [
    Math.round(samples * ROLLOUTS_PER_SAMPLE[0] * perRollout),
    Math.round(samples * ROLLOUTS_PER_SAMPLE[1] * perRollout),
  ];
  const price = teacher.price ?? teacher.endpoints[0]?.price;
  const usdPerRollout =
    price &&
    (freshInput * price.input +
      cachedInput * (price.cachedInput ?? price.input) +
      output * price.output) /
      1e6;
  const hours = (rollouts: number) => (rollouts * calls * secondsPerCall) / concurrency / 3600;
  return {
    rollouts: scale(1),
    inputTokens: scale(freshInput + cachedInput),
    cachedInputTokens: scale(cachedInput),
    outputTokens: scale(output),
    costUsd:
      usdPerRollout === undefined
        ? null
        : [
            samples * ROLLOUTS_PER_SAMPLE[0] * usdPerRollout,
            samples * ROLLOUTS_PER_SAMPLE[1] * usdPerRollout,
          ],
    hours: [hours(scale(1)[0]), hours(scale(1)[1])],
    basis: `${ROLLOUTS_PER_SAMPLE.join(' to ')} rollouts a sample; per rollout ${calls} calls of ${secondsPerCall} s, ${freshInput / 1000}k new and ${cachedInput / 1000}k cached input tokens, ${output / 1000}k output tokens; ${concurrency} samples at once`,
  };
}
