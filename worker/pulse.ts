/** Tells the store again and again what this worker does at a batch's endpoints, for as long as it does anything. */

import type { SpendLine } from '../domain/spend.ts';
import type { EndpointPulse, Pulses } from '../domain/store.ts';

const BEAT_MS = 5_000;
/** Tokens per second are the mean over this time. */
const WINDOW_MS = 30_000;

/** An endpoint as the configuration names it. */
export type EndpointLoad = Pick<EndpointPulse, 'endpoint' | 'model' | 'callsUnderWay'>;

export interface Pulse {
  /** A reply has come. */
  paid(line: SpendLine): void;
  stop(): void;
}

/** `loads`: the batch's endpoints as they are when it is asked; `onBeat` is told what is said. */
export function createPulse(
  pulses: Pulses,
  batchId: string,
  loads: () => EndpointLoad[],
  onBeat: (endpoints: EndpointPulse[]) => void,
): Pulse {
  let lately: { atMs: number; line: SpendLine }[] = [];
  let isQuiet = true;

  function beat(): void {
    const since = performance.now() - WINDOW_MS;
    lately = lately.filter(({ atMs }) => atMs > since);
    const endpoints = loads().map((load) => withRates(load, lately));
    onBeat(endpoints);
    const wasQuiet = isQuiet;
    isQuiet = lately.length === 0 && endpoints.every(({ callsUnderWay }) => callsUnderWay === 0);
    if (isQuiet && wasQuiet) return;
    // A beat that is lost is made up for by the next.
    pulses.beat(batchId, isQuiet ? [] : endpoints).catch(() => undefined);
  }

  const beating = setInterval(beat, BEAT_MS).unref();
  return {
    paid: (line) => void lately.push({ atMs: performance.now(), line }),
    stop: () => clearInterval(beating),
  };
}

// --- internal ---

function withRates(load: EndpointLoad, lately: { line: SpendLine }[]): EndpointPulse {
  const here = lately.filter(({ line }) => line.endpoint === load.endpoint);
  const perSecond = (tokens: (line: SpendLine) => number) =>
    here.reduce((sum, { line }) => sum + tokens(line), 0) / (WINDOW_MS / 1000);
  return {
    ...load,
    inputTokensPerSecond: perSecond(({ usage }) => usage.inputTokens),
    outputTokensPerSecond: perSecond(({ usage }) => usage.outputTokens),
  };
}
