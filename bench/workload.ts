/** What every harness of a bench is given, and what is measured of it. */

export interface Workload {
  teacher: { baseUrl: string; model: string };
  imageId: string;
  rollouts: number;
  /** Steps of each rollout. */
  steps: number;
  /** Rollouts under way at once. */
  concurrency: number;
}

export interface Measured {
  /** From the first step of the first rollout to the end of the last; containers are up before. */
  wallMs: number;
  /** CPU time of the harness, with the processes it starts on the host. */
  cpuMs: number;
  /** One entry per step: from its beginning to that of the next one. */
  stepMs: number[];
}

export function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

export function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
