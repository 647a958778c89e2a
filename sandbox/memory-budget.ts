/** Memory that sandboxes take together on the engine's host: by their limits, for no one knows what they will really use. */

/** Most sandboxes use little of their limit, and not at the same time. */
const OVERCOMMIT = 2;

export interface MemoryBudget {
  /**
   * Waits for its turn until the memory is free, and tells meanwhile what for. Returns what gives it back. More than there is
   * at all is had alone. Rejects with the signal's reason.
   */
  take(
    bytes: number,
    signal: AbortSignal,
    onWaiting?: (reason: string) => void,
  ): Promise<() => void>;
  /** For a sandbox that runs already. */
  claim(bytes: number): () => void;
  /** What another sandbox like the last one would have to wait for; undefined when it need not wait. */
  shortage(): string | undefined;
}

/** Over a host of `hostBytes`. */
export function createMemoryBudget(hostBytes: number): MemoryBudget {
  const total = hostBytes * OVERCOMMIT;
  const queue: { bytes: number; admit(): void }[] = [];
  let taken = 0;
  let last = 0;

  function claim(bytes: number): () => void {
    let isHeld = true;
    taken += bytes;
    last = bytes;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      taken -= bytes;
      admitNext();
    };
  }

  function admitNext(): void {
    for (let first = queue[0]; first !== undefined && isFree(first.bytes); first = queue[0]) {
      queue.shift();
      first.admit();
    }
  }

  function isFree(bytes: number): boolean {
    return taken === 0 || taken + bytes <= total;
  }

  function reason(): string {
    return `sandboxes take ${toGibibytes(taken)} GiB of memory by their limits, and the engine's host has ${toGibibytes(hostBytes)} GiB`;
  }

  return {
    claim,
    shortage: () => (queue.length > 0 || !isFree(last) ? reason() : undefined),
    take(bytes, signal, onWaiting) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error);
        const onAbort = () => {
          queue.splice(queue.indexOf(waiter), 1);
          reject(signal.reason as Error);
          admitNext();
        };
        const waiter = {
          bytes,
          admit() {
            signal.removeEventListener('abort', onAbort);
            resolve(claim(bytes));
          },
        };
        signal.addEventListener('abort', onAbort, { once: true });
        queue.push(waiter);
        admitNext();
        if (queue.includes(waiter)) onWaiting?.(reason());
      });
    },
  };
}

// --- internal ---

function toGibibytes(bytes: number): string {
  return (bytes / 1024 ** 3).toFixed(1);
}
