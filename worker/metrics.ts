/** What this worker does, as numbers for Prometheus: on loopback, beside those that Temporal's own runtime gives. */

import type { MetricMeter } from '@temporalio/common';
import { Runtime, type RuntimeOptions } from '@temporalio/worker';
import type { SpendLine } from '../domain/spend.ts';
import type { EndpointPulse } from '../domain/store.ts';

const HOST = '127.0.0.1';
const CALL_SECONDS = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600];

export interface Metrics {
  /** A call was paid. Batches, stages and endpoints are labels; samples are far too many. */
  paid(line: SpendLine): void;
  /** What is under way at a batch's endpoints. */
  atEndpoints(batchId: string, endpoints: EndpointPulse[]): void;
  /** Rollouts that may run at once. */
  slots(count: number): void;
}

/**
 * Installs the runtime that serves them at `http://127.0.0.1:<port>/metrics`. Where that can't be, as with a port that another worker
 * has, `onTrouble` is told, and the runtime goes without.
 */
export function installRuntime(
  options: RuntimeOptions,
  port: number | undefined,
  onTrouble: (message: string) => void,
): Metrics {
  try {
    Runtime.install(port === undefined ? options : { ...options, ...servedAt(port) });
  } catch (error) {
    if (port === undefined) throw error;
    const why = error instanceof Error ? error.message : String(error);
    onTrouble(`no metrics at port ${port}: ${why}; TWINPATCH_METRICS_PORT names another one`);
    Runtime.install(options);
  }
  return createMetrics(Runtime.instance().metricMeter);
}

// --- internal ---

function servedAt(port: number): Pick<RuntimeOptions, 'telemetryOptions'> {
  const prometheus = {
    bindAddress: `${HOST}:${port}`,
    countersTotalSuffix: true,
    unitSuffix: true,
    useSecondsForDurations: true,
    histogramBucketOverrides: { twinpatch_call_duration: CALL_SECONDS },
  };
  return { telemetryOptions: { metrics: { prometheus } } };
}

function createMetrics(meter: MetricMeter): Metrics {
  const calls = meter.createCounter('twinpatch_calls', undefined, 'Paid calls');
  const unpriced = meter.createCounter('twinpatch_unpriced_calls', undefined, 'Calls of no cost');
  const tokens = meter.createCounter('twinpatch_tokens', undefined, 'Tokens of paid calls by kind');
  // Counters hold whole numbers.
  const cost = meter.createCounter('twinpatch_cost_micro_usd', undefined, 'Millionths of a USD');
  const duration = meter.createHistogram('twinpatch_call_duration', 'float', 's', 'Time per call');
  const underWay = meter.createGauge('twinpatch_calls_under_way', 'int', undefined, 'Calls now');
  const slots = meter.createGauge('twinpatch_rollout_slots', 'int', undefined, 'Rollouts at once');
  return {
    paid({ batch, stage, endpoint, model, usage, costUsd, durationMs }) {
      const labels = { batch, stage, endpoint, model };
      calls.add(1, labels);
      if (costUsd === null) unpriced.add(1, labels);
      else cost.add(Math.round(costUsd * 1e6), labels);
      const { inputTokens, cachedInputTokens, outputTokens, reasoningTokens } = usage;
      // Each token once: sums over kinds are the tokens in all.
      tokens.add(inputTokens - cachedInputTokens, { ...labels, kind: 'input' });
      tokens.add(cachedInputTokens, { ...labels, kind: 'cached-input' });
      tokens.add(outputTokens - reasoningTokens, { ...labels, kind: 'output' });
      tokens.add(reasoningTokens, { ...labels, kind: 'reasoning' });
      duration.record(durationMs / 1000, { endpoint, model });
    },
    atEndpoints(batch, endpoints) {
      for (const { endpoint, model, callsUnderWay } of endpoints) {
        underWay.set(callsUnderWay, { batch, endpoint, model });
      }
    },
    slots: (count) => slots.set(count),
  };
}
