/** Slots of rollouts, handed out one by one: as many as there are, and while this host has memory and time for another one. */

import { freemem, loadavg } from 'node:os';
import type { ActivitySlotInfo, CustomSlotSupplier, WorkerOptions } from '@temporalio/worker';

/** How often it is looked whether one who waits can have a slot now. */
const LOOK_EVERY_MS = 1_000;
/** Each poll keeps a slot that was admitted before it; with few of them the host is looked at just before the work begins. */
const POLLS = 2;
/** Kinds of work that the rollout queue does not have. */
const NO_SLOTS = { type: 'fixed-size', numSlots: 1 } as const;

export interface AdmissionOptions {
  /** Rollouts at once; asked at every look. */
  slots(): number;
  /** Why no further one should begin just now. Not asked while none runs: however short the host is, the work goes on. */
  shortage(): string | undefined;
  /** Told when slots are held back, and, with undefined, when they no longer are. */
  onShortage(reason: string | undefined): void;
}

export type Admission = CustomSlotSupplier<ActivitySlotInfo>;

/**
 * A slot is reserved before the server is asked for work, and kept for as long as that takes: work that this host should not
 * begin stays in the queue, where another host finds it.
 */
export function createAdmission({ slots, shortage, onShortage }: AdmissionOptions): Admission {
  const queue: (() => void)[] = [];
  let taken = 0;
  let looking: NodeJS.Timeout | undefined;
  let isShort = false;

  function isFree(): boolean {
    if (taken >= slots()) return false;
    const reason = taken === 0 ? undefined : shortage();
    if (isShort !== (reason !== undefined)) onShortage(reason);
    isShort = reason !== undefined;
    return !isShort;
  }

  function admit(): void {
    while (queue.length > 0 && isFree()) {
      taken += 1;
      queue.shift()?.();
    }
    clearTimeout(looking);
    looking = queue.length === 0 ? undefined : setTimeout(admit, LOOK_EVERY_MS).unref();
  }

  return {
    type: 'custom',
    reserveSlot: (_context, signal) =>
      new Promise((resolve, reject) => {
        const give = () => {
          signal.removeEventListener('abort', giveUp);
          resolve({});
        };
        const giveUp = () => {
          queue.splice(queue.indexOf(give), 1);
          reject(signal.reason as Error);
        };
        signal.addEventListener('abort', giveUp, { once: true });
        queue.push(give);
        admit();
      }),
    // For work that a workflow task brings along: this worker has no workflows.
    tryReserveSlot: () => null,
    markSlotUsed: () => {},
    releaseSlot() {
      taken -= 1;
      admit();
    },
  };
}

/** Options of a worker that runs rollouts alone. */
export function rolloutSlots(
  options: AdmissionOptions,
): Pick<WorkerOptions, 'tuner' | 'maxConcurrentActivityTaskPolls'> {
  return {
    maxConcurrentActivityTaskPolls: POLLS,
    tuner: {
      activityTaskSlotSupplier: createAdmission(options),
      workflowTaskSlotSupplier: NO_SLOTS,
      localActivityTaskSlotSupplier: NO_SLOTS,
      nexusTaskSlotSupplier: NO_SLOTS,
    },
  };
}

/** Why this host should begin nothing more, in words; undefined when it has load and memory to spare. */
export function hostShortage(
  { maxLoad, memoryReserveBytes }: { maxLoad: number; memoryReserveBytes: number },
  host = { load: loadavg()[0] ?? 0, freeBytes: freemem() },
): string | undefined {
  if (host.load > maxLoad) {
    return `the load of this host is ${host.load.toFixed(1)}, above ${maxLoad} (TWINPATCH_MAX_LOAD)`;
  }
  if (host.freeBytes < memoryReserveBytes) {
    return `this host has ${toMebibytes(host.freeBytes)} MiB of memory available, below ${toMebibytes(memoryReserveBytes)} (TWINPATCH_MEMORY_RESERVE_MB)`;
  }
  return undefined;
}

// --- internal ---

function toMebibytes(bytes: number): number {
  return Math.round(bytes / 1024 ** 2);
}
